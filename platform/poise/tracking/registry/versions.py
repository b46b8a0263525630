"""Model registry: backbones with their whole history.

In: a backbone package and the run that made it. Out: a numbered version with tags for its trial,
study, recipe and dataset. Next: ``poise.tracking.registry.fetch``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.models.checksums import WEIGHTS_FILE, read_config, verify_package
from poise.tracking.address import redacted
from poise.tracking.initial_weights import TAGS
from poise.tracking.store import Store, explained

CANDIDATE = "candidate"
"""Alias that always moves to the newest version."""


class UnknownModelError(PoiseError):
    """Error for a name that no registered model has."""


_RUN_TAGS = ("recipe", "dataset", "dataset_fingerprint", "version", *TAGS)


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    version: int
    aliases: tuple[str, ...]
    created_ms: int
    run_id: str
    source: str
    """Address of the stored package."""

    tags: dict[str, str]
    """Tags without their prefix ``poise.``: metric, metric_value, protocol, verdict, backbone,
    recipe, dataset, dataset_fingerprint, trial_run, study_run, and for a run that started from a
    trained model initial_weights, initial_weights_sha256 and initial_weights_origin."""

    @property
    def uri(self) -> str:
        """Reference such as ``models:/name/3``."""
        return f"models:/{self.name}/{self.version}"


def model_name(dataset: str, objective: str, backbone: str) -> str:
    """Makes the name of a registered model from dataset, objective and backbone."""
    return re.sub(r"[^\w.-]+", "-", f"{dataset}-{objective}-{backbone}")


def register_model(
    store: Store,
    package_folder: str | Path,
    name: str,
    run_id: str,
    tags: Mapping[str, object],
) -> str:
    """Registers a package as the next version and moves the alias ``candidate`` to it.

    The same weights of the same run are registered only once, so an interrupted study may repeat
    it.

    Args:
        store: store of the run.
        package_folder: folder that ``save_backbone`` wrote.
        name: name of the registered model; see ``model_name``.
        run_id: trial or run that trained it. Its recipe, dataset and study become tags.
        tags: further tags: ``metric``, ``metric_value``, ``protocol``, ``verdict``.

    Returns:
        The version's URI, ``models:/name/3``.

    Raises:
        PoiseError: the package is damaged, or the registry refuses it.
    """
    with explained(f"{name}: could not be registered"):
        tags = {
            **_lineage(store, run_id),
            **tags,
            "backbone": read_config(package_folder).get("backbone", {}).get("name", ""),
            "weights_sha256": verify_package(package_folder)[WEIGHTS_FILE]["sha256"],
        }
        version = _find_same(store, name, run_id, tags) or _create(
            store, package_folder, name, run_id, tags
        )
        _make_candidate(store, name, version)
    return f"models:/{name}/{version}"


@explained()
def list_models(store: Store, name: str | None = None) -> list[Version]:
    """Lists all versions, newest first."""
    condition = f"name = '{name}'" if name else None
    found: list[ModelVersion] = []
    token = None
    while token != "":
        page = store.registry.search_model_versions(condition, max_results=1000, page_token=token)
        found += page
        token = page.token or ""
    aliases = {each: _aliases(store, each) for each in {version.name for version in found}}
    versions = [_version(each, aliases[each.name]) for each in found]
    return sorted(versions, key=lambda each: (each.created_ms, each.version), reverse=True)


def find_model(store: Store, reference: str) -> Version:
    """Finds the version that a reference names.

    Args:
        store: store to look in.
        reference: ``models:/name/3``, ``models:/name@alias`` or ``models:/name`` (its newest
            version); ``models:/`` may be left out.

    Raises:
        PoiseError: there is no such version; the message names the existing versions.
    """
    name, version, alias = _parse(reference)
    versions = list_models(store, name)
    if not versions:
        known = sorted({version.name for version in list_models(store)})
        hint = f"there are {', '.join(known)}" if known else "nothing is registered yet"
        raise UnknownModelError(f"{reference}: no model is called '{name}'; {hint}")
    if alias:
        matching = [each for each in versions if alias in each.aliases]
    else:
        matching = [each for each in versions if version in (None, each.version)]
    if not matching:
        known_versions = ", ".join(str(each.version) for each in reversed(versions))
        known_aliases = ", ".join(sorted(a for each in versions for a in each.aliases)) or "none"
        raise PoiseError(
            f"{reference}: '{name}' has versions {known_versions} and aliases {known_aliases}"
        )
    return matching[0]


def _lineage(store: Store, run_id: str) -> dict[str, object]:
    run_tags = _run_of(store, run_id).data.tags
    tags: dict[str, object] = {
        name: run_tags[f"poise.{name}"] for name in _RUN_TAGS if f"poise.{name}" in run_tags
    }
    study_run = run_tags.get("mlflow.parentRunId")
    return {"trial_run": run_id, **({"study_run": study_run} if study_run else {}), **tags}


def _run_of(store: Store, run_id: str) -> Run:
    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise PoiseError(
            f"run {run_id} is not in {redacted(store.uri)}; set MLFLOW_TRACKING_URI to the store "
            "that tracked it, and register there"
        ) from None


def _find_same(store: Store, name: str, run_id: str, tags: Mapping[str, object]) -> int | None:
    for version in list_models(store, name):
        if (
            version.run_id == run_id
            and version.tags.get("weights_sha256") == tags["weights_sha256"]
        ):
            return version.version
    return None


def _create(
    store: Store, package_folder: str | Path, name: str, run_id: str, tags: Mapping[str, object]
) -> int:
    client = store.client
    experiment_id = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(experiment_id, name, run_id, model_type="backbone")
    try:
        client.log_model_artifacts(model.model_id, str(package_folder))
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    _ensure_registered(store, name)
    # The version needs the location, because MLflow would look for `models:/<id>` in its default
    # store.
    version = client.create_model_version(
        name,
        model.artifact_location,
        run_id,
        tags={f"poise.{key}": str(value) for key, value in tags.items()},
        model_id=model.model_id,
        await_creation_for=0,
    )
    return int(version.version)


def _make_candidate(store: Store, name: str, version: int) -> None:
    """Moves the alias.

    If two processes set a new alias at once, MLflow refuses one, so it retries.
    """
    for last_attempt in (False, False, True):
        try:
            store.client.set_registered_model_alias(name, CANDIDATE, str(version))
            return
        except MlflowException:
            if last_attempt:
                raise


def _ensure_registered(store: Store, name: str) -> None:
    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _aliases(store: Store, name: str) -> dict[int, tuple[str, ...]]:
    """Returns aliases by version, because a search for versions does not return them."""
    by_version: dict[int, tuple[str, ...]] = {}
    for alias, version in sorted(store.registry.get_registered_model(name).aliases.items()):
        by_version[int(version)] = (*by_version.get(int(version), ()), alias)
    return by_version


def _version(found: ModelVersion, aliases: Mapping[int, tuple[str, ...]]) -> Version:
    number = int(found.version)  # text over HTTP
    tags = {key.removeprefix("poise."): value for key, value in found.tags.items()}
    return Version(
        name=found.name,
        version=number,
        aliases=aliases.get(number, ()),
        created_ms=found.creation_timestamp,
        run_id=found.run_id,
        source=found.source,
        tags=tags,
    )


def _parse(reference: str) -> tuple[str, int | None, str | None]:
    match = re.fullmatch(r"(?:models:/)?([^/@:']+)(?:/(\d+)|@([\w-]+))?", reference)
    if match is None:
        raise PoiseError(
            f"{reference}: neither a folder nor a registered model; "
            "write models:/NAME/VERSION, models:/NAME@ALIAS or models:/NAME"
        )
    name, version, alias = match.groups()
    return name, int(version) if version else None, alias
