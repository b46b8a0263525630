"""History (lineage) of a version: the run, recipe, dataset and code that made it.

In: a version. Out: settings and tags of its run, and lines such as ``recipe  dino-scenes``. Next:
``poise models show``, ``poise models lineage`` and the version's description.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.tracking.registry.version import Version
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.store import Store, explained, is_absent

_MOST_ANCESTORS = 20


@dataclass(frozen=True)
class Maker:
    """Run that made a version. A field is None or empty if the store no longer has its value."""

    run_id: str
    name: str | None = None
    """Name of the run, or None if the store no longer has the run."""

    experiment_id: str | None = None
    study: str | None = None
    """Name of the run's study, or None if the run is not a trial of a study."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """Recipe of the run: values as text, by dotted key."""

    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def evidence(self) -> str:
        """Sentence with the evidence for the verdict. It is empty if the run has no verdict."""
        return self.tags.get("poise.verdict_evidence", "")


def find_run_of(store: Store, version: Version) -> Maker:
    """Reads the run that made a version, and the name of its study.

    Raises:
        PoiseError: the store does not answer.
    """
    with explained(f"{version.uri}: its run cannot be looked up"):
        found = _run(store, version.run_id)
        parent = found.data.tags.get("mlflow.parentRunId") if found is not None else None
        study = _run(store, parent) if parent else None
    if found is None:
        return Maker(version.run_id)
    return Maker(
        run_id=version.run_id,
        name=str(found.info.run_name),
        experiment_id=str(found.info.experiment_id),
        study=str(study.info.run_name) if study is not None else None,
        settings=dict(found.data.params),
        tags=dict(found.data.tags),
    )


def lineage_of(version: Version, maker: Maker) -> list[tuple[str, str]]:
    """Lists the history of a version: its study, trial, run, start, recipe, dataset and code."""
    tags = version.tags
    return [
        *_origin(version, maker),
        *_start(tags),
        ("recipe", tags.get("recipe", "–")),
        ("dataset", _with(tags.get("dataset", "–"), tags.get("dataset_fingerprint"))),
        ("code", _with(f"Poise {tags.get('version', '–')}", _commit(tags, maker.tags))),
        ("weights", f"SHA-256 {tags['weights_sha256']}" if "weights_sha256" in tags else "–"),
    ]


def ancestors(store: Store, version: Version) -> Iterator[Version | str]:
    """Yields the models that a version's training started from, the nearest first.

    A model that this registry does not have is yielded as text. It is the last item.
    """
    seen = {version.uri}
    while len(seen) <= _MOST_ANCESTORS:
        start = version.tags.get("initial_weights")
        if start is None or start in seen:
            return
        if not start.startswith("models:/"):
            yield start
            return
        try:
            version = find_model(store, start)
        except PoiseError:
            yield f"{start} (not in this registry any more)"
            return
        seen.add(version.uri)
        yield version


def _origin(version: Version, maker: Maker) -> list[tuple[str, str]]:
    tags = version.tags
    name = maker.name or "not in this store any more"
    run = ("run", _with(name, maker.run_id))
    if "imported_from" in tags:
        layout = f"{tags['layout']} layout" if "layout" in tags else None
        trained = [("trained by", tags["trained_by"])] if "trained_by" in tags else []
        return [("imported", _with(tags["imported_from"], layout)), *trained, run]
    if "study_run" not in tags:
        return [("study", "none: a single run"), run]
    return [("study", _with(maker.study or "–", tags["study_run"])), ("trial", run[1])]


def _start(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Returns rows about the trained model that the run started from.

    There are no rows if the run started from random weights.
    """
    if "initial_weights" not in tags:
        return []
    sha256 = f"SHA-256 {tags.get('initial_weights_sha256', '')[:12]}…"
    rows = [("start", _with(tags["initial_weights"], sha256))]
    origin = tags.get("initial_weights_origin")
    return [*rows, ("", origin)] if origin else rows


def _commit(tags: Mapping[str, str], run_tags: Mapping[str, str]) -> str | None:
    commit = tags.get("commit")
    if commit is None:
        return None
    changed = run_tags.get("poise.git_dirty") == "true"
    return f"commit {commit[:12]}{', with changed files' if changed else ''}"


def _with(text: str, aside: str | None) -> str:
    return f"{text}  ({aside})" if aside else text


def _run(store: Store, run_id: str) -> Run | None:
    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        if not is_absent(error):
            raise
        return None
