"""Registers backbones together with their history.

In: a backbone package and the run that made it. Out: a numbered version. Its tags name trial,
study, recipe and dataset, and contain the measured values. Next:
``poise.tracking.registry.description`` and ``poise.tracking.registry.fetch``.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.redaction import redacted
from poise.models.checksums import WEIGHTS_FILE, read_config, verify_package
from poise.tracking.initial_weights import TAGS
from poise.tracking.registry.description import describe
from poise.tracking.registry.version import Figures, stored_tags
from poise.tracking.registry.version_lookup import versions_of_run
from poise.tracking.store import Store, explained, is_absent

logger = logging.getLogger(__name__)

CANDIDATE = "candidate"
"""Alias that Poise moves to each new version."""

MODEL_TYPE = "backbone"
"""Value of MLflow's field ``model_type`` for the backbones of Poise."""

_RUN_TAGS = ("recipe", "dataset", "dataset_fingerprint", "version", *TAGS)


def model_name(dataset: str, objective: str, backbone: str) -> str:
    """Makes the name of a registered model from dataset, objective and backbone."""
    return re.sub(r"[^\w.-]+", "-", f"{dataset}-{objective}-{backbone}")


def register_model(
    store: Store,
    package_folder: str | Path,
    name: str,
    run_id: str,
    tags: Mapping[str, object],
    figures: Figures | None = None,
) -> str:
    """Registers a package as the next version and moves the alias ``candidate`` to it.

    The same weights of the same run are registered only once. So an interrupted study may call this
    function again. The version and its model get a description for MLflow's page.

    Args:
        store: store of the run.
        package_folder: folder that ``save_backbone`` wrote.
        name: name of the registered model, from ``model_name``.
        run_id: id of the run or trial that trained the backbone. Its recipe, dataset and study
            become tags.
        tags: more tags, such as ``objective`` and ``verdict``. ``metric`` is the name of the
            version's main figure.
        figures: measured values by metric.

    Returns:
        The version's URI, such as ``models:/name/3``.

    Raises:
        PoiseError: the package is damaged, or the registry refuses the version.
    """
    with explained(f"{name}: could not be registered"):
        tags = {
            **_lineage(store, run_id),
            **tags,
            "backbone": read_config(package_folder).get("backbone", {}).get("name", ""),
            "weights_sha256": verify_package(package_folder)[WEIGHTS_FILE]["sha256"],
        }
        version = _find_same(store, name, run_id, tags)
        if version is None:
            stored = stored_tags(tags, figures or {})
            version = _create(store, package_folder, name, run_id, stored)
        _make_candidate(store, name, version)
        describe(store, name, version)
    return f"models:/{name}/{version}"


def _lineage(store: Store, run_id: str) -> dict[str, object]:
    run_tags = _run_of(store, run_id).data.tags
    tags: dict[str, object] = {
        name: run_tags[f"poise.{name}"] for name in _RUN_TAGS if f"poise.{name}" in run_tags
    }
    study_run = run_tags.get("mlflow.parentRunId")
    commit = run_tags.get("mlflow.source.git.commit")
    return {
        **tags,
        **({"study_run": study_run} if study_run else {}),
        **({"commit": commit} if commit else {}),
    }


def _run_of(store: Store, run_id: str) -> Run:
    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        if not is_absent(error):
            raise
        raise PoiseError(
            f"run {run_id} is not in {redacted(store.uri)}; set MLFLOW_TRACKING_URI to the store "
            "that tracked it, and register there"
        ) from None


def _find_same(store: Store, name: str, run_id: str, tags: Mapping[str, object]) -> int | None:
    for version in versions_of_run(store, run_id):
        same_weights = version.tags.get("weights_sha256") == tags["weights_sha256"]
        if version.name == name and same_weights:
            return version.version
    return None


def _create(
    store: Store, package_folder: str | Path, name: str, run_id: str, tags: dict[str, str]
) -> int:
    client = store.client
    experiment_id = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(experiment_id, name, run_id, model_type=MODEL_TYPE)
    try:
        client.log_model_artifacts(model.model_id, str(package_folder))
        _log_flavor(store, package_folder, name, (run_id, model.model_id))
        _ensure_registered(store, name)
        # The version needs the full location. MLflow would look for `models:/<id>` in its
        # default store.
        version = client.create_model_version(
            name,
            model.artifact_location,
            run_id,
            tags=tags,
            model_id=model.model_id,
            await_creation_for=0,
        )
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    # READY is set last, because `poise models gc` may delete ready models without a version.
    client.finalize_logged_model(model.model_id, "READY")
    return int(version.version)


def _log_flavor(store: Store, package_folder: str | Path, name: str, ids: tuple[str, str]) -> None:
    """Stores MLflow's own files beside the package, so that ``mlflow.pyfunc`` loads the version."""
    from poise.tracking.registry.flavor.files import write_flavor  # listing needs no mlflow.pyfunc

    with TemporaryDirectory() as scratch:
        try:
            write_flavor(Path(scratch), read_config(package_folder), name, ids)
        except PoiseError as error:
            logger.info("%s: mlflow.pyfunc cannot load this version: %s", name, error)
            return
        store.client.log_model_artifacts(ids[1], scratch)


def _make_candidate(store: Store, name: str, version: int) -> None:
    """Moves the alias ``candidate`` to a version.

    If two processes set a new alias at the same time, MLflow refuses one of them. So the call is
    repeated.
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
