"""The life of a run in MLflow.

Planned, where it waits for its turn → created (or found again) → recipe and environment written →
metrics arrive through its writer → files added → ended by its controller or, where that died, by
``reconcile``.

In: a store, recipes, reports and files. Out: a ``Run``, which is plain data and travels to the
worker that trains. Next: ``poise.tracking.ending``.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Param, RunTag

from poise.config import PoiseError, Recipe
from poise.config.keys import leaves
from poise.config.yaml_core import dump_yaml
from poise.tracking.environment import controller_tags, describe_environment, holder_tags
from poise.tracking.holder import Holder
from poise.tracking.known_run import keep_run, known_run, stored_run
from poise.tracking.store import Store, explained
from poise.tracking.writer import MetricWriter, Patience

SPILL_FILE = "metrics-waiting.jsonl"
_ON_ITS_END = ("poise.killed_because", "poise.stopped_early")
"""Tags that are no longer true once a run goes on."""

_MAX_PARAM_LENGTH = 6000
_MAX_PARAMS_AT_ONCE = 100


@dataclass(frozen=True)
class Run:
    """One MLflow run."""

    store: Store
    run_id: str
    experiment_id: str

    folder: str
    """Where metrics wait while the store does not answer; reachable from every worker."""

    def open_writer(self, patience: Patience | None = None) -> MetricWriter:
        """The run's observer, made in the process that trains."""
        return MetricWriter(self.store, self.run_id, Path(self.folder) / SPILL_FILE, patience)


# ---- created, or found again --------------------------------------------------------------------


def create_run(store: Store, experiment: str, name: str, folder: str | Path) -> Run:
    """The run of a single pretraining. The same folder again continues the same run.

    Raises:
        PoiseError: another living process controls it.
    """
    experiment_id = store.experiment(experiment)
    return _of_folder(store, experiment_id, run_key(name), name, Path(folder), {})


def create_study_run(store: Store, experiment: str, name: str, folder: str | Path) -> Run:
    """The parent run of a study. The same folder again continues the same run.

    Raises:
        PoiseError: another living process controls it.
    """
    experiment_id = store.experiment(experiment)
    return _of_folder(store, experiment_id, study_key(name), name, Path(folder), {})


def create_probe_run(maker: Run, name: str, folder: str | Path) -> Run:
    """A probe's run, a child of the run that made the probed model.

    The same folder again continues the same run.

    Raises:
        PoiseError: another living process controls it.
    """
    key, parent = _trial_key(maker, name), {"mlflow.parentRunId": maker.run_id}
    return _of_folder(maker.store, maker.experiment_id, key, name, Path(folder), parent)


@explained()
def create_trial_run(study: Run, trial_id: str, folder: str | Path) -> Run:
    """A trial's run, a child of its study. A planned or resumed trial continues its own run."""
    key = _trial_key(study, trial_id)
    tags = {
        **controller_tags(study.folder), "poise.key": key, "mlflow.parentRunId": study.run_id,
    }  # fmt: skip
    found = study.store.search_runs(f"tags.`poise.key` = '{key}'", [study.experiment_id])
    if found:
        run_id = _continue(study.store, found[0], tags)
    else:
        run_id = _create(study.store, study.experiment_id, trial_id, tags)
    return Run(study.store, run_id, study.experiment_id, str(Path(folder).absolute()))


@explained()
def plan_trial_run(study: Run, trial_id: str, settings: Mapping[str, Any]) -> str:
    """The id of a waiting trial's run: SCHEDULED until the trial's own process takes it over.

    A run that is there already, of an attempt that ended, is left as it is.

    Args:
        study: its parent.
        trial_id: of the trial.
        settings: what will be tried, by dotted key and as the recipe will have it.
    """
    key, client = _trial_key(study, trial_id), study.store.client
    found = study.store.search_runs(f"tags.`poise.key` = '{key}'", [study.experiment_id])
    if found:
        return str(found[0].info.run_id)
    # Its controller until then: MLflow makes a run RUNNING, and `reconcile` may look between.
    tags = {**holder_tags(study.folder), "mlflow.parentRunId": study.run_id}
    tags |= {"poise.key": key, "poise.attempt": "0"}
    run = client.create_run(study.experiment_id, run_name=trial_id, tags=tags)
    run_id = str(run.info.run_id)
    client.update_run(run_id, status="SCHEDULED")
    values = [Param(name, _parameter(value)) for name, value in settings.items()]
    client.log_batch(run_id, params=values)
    return run_id


# ---- what it was made of ------------------------------------------------------------------------


@explained()
def log_recipe(run: Run, recipe: Recipe, datasets: Mapping[str, str]) -> None:
    """Writes the resolved recipe: parameters by dotted key, tags, and ``recipe.yaml``.

    Parameters are written once. A resumed run whose recipe differs keeps the first values and
    lists the new ones in the tag ``poise.resumed_with``.

    Args:
        run: to write to.
        recipe: of it.
        datasets: as ``dataset_tags`` has them.
    """
    tree = recipe.model_dump(mode="json")
    values = {key: _parameter(value) for key, value in leaves(tree)}
    known = run.store.client.get_run(run.run_id).data.params
    added = [Param(key, value) for key, value in values.items() if key not in known]
    for start in range(0, len(added), _MAX_PARAMS_AT_ONCE):
        chunk = added[start : start + _MAX_PARAMS_AT_ONCE]
        run.store.client.log_batch(run.run_id, params=chunk)
    tags = {"poise.recipe": recipe.name, **datasets}
    changed = [f"{k}={v}" for k, v in values.items() if known.get(k, v) != v]
    set_tags(run, tags | ({"poise.resumed_with": " ".join(changed)} if changed else {}))
    run.store.client.log_text(run.run_id, dump_yaml(tree), "recipe.yaml")


def log_environment(run: Run) -> None:
    """Writes ``environment.json``: versions, processors, accelerators, command."""
    log_json(run, describe_environment(), "environment.json")


@explained()
def log_json(run: Run, content: Mapping[str, Any], name: str) -> None:
    """Writes a JSON artifact such as ``verdict.json``."""
    run.store.client.log_text(run.run_id, json.dumps(content, indent=2) + "\n", name)


@explained()
def log_files(run: Run, paths: Iterable[str | Path], folder: str | None = None) -> None:
    """Copies files, such as pictures, into the run's artifacts."""
    for path in paths:
        run.store.client.log_artifact(run.run_id, str(path), folder)


@explained()
def set_tags(run: Run, tags: Mapping[str, object]) -> None:
    """Sets tags; an existing one is replaced."""
    pairs = [RunTag(key, str(value)) for key, value in tags.items()]
    run.store.client.log_batch(run.run_id, tags=pairs)


# ---- how it went --------------------------------------------------------------------------------


@explained()
def history(store: Store, run_id: str, keys: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
    """Per metric its ``(step, value)`` pairs in order of steps.

    Steps that were trained again after an interruption are stored twice; the later one counts.
    """
    return {key: _newest(store.client.get_metric_history(run_id, key)) for key in keys}


# ---- details ------------------------------------------------------------------------------------


@explained()
def _of_folder(
    store: Store, experiment_id: str, key: str, name: str, folder: Path, tags: Mapping[str, str]
) -> Run:
    found = find_run(store, key, folder)
    tags = {**tags, **controller_tags(folder), "poise.key": key}
    if found is not None:
        run_id, experiment_id = _continue(store, found, tags), found.info.experiment_id
    else:
        run_id = _create(store, experiment_id, name, tags)
    keep_run(folder, store, run_id)
    return Run(store, run_id, experiment_id, str(folder.absolute()))


def find_run(store: Store, key: str, folder: Path) -> mlflow.entities.Run | None:
    """The run that belongs to a folder; none where this store has none.

    Args:
        store: to look in.
        key: the key of a run that an older version made, whose folder does not name it.
        folder: of the run or study.
    """
    known = known_run(folder)
    if known is not None:
        return stored_run(store, known.run_id)
    found = store.search_runs(f"tags.`poise.key` = '{key}'")
    older = [run for run in found if "poise.folder" not in run.data.tags]
    return max(older, key=lambda run: run.info.start_time, default=None)


def _create(store: Store, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
    first = {**tags, "poise.attempt": "1"}
    return str(store.client.create_run(experiment_id, run_name=name, tags=first).info.run_id)


def _continue(store: Store, run: mlflow.entities.Run, tags: dict[str, str]) -> str:
    run_id, known = str(run.info.run_id), run.data.tags
    holder = Holder.from_tags(known)
    if run.info.status == "RUNNING" and holder is not None and holder.is_another_running:
        raise PoiseError(
            f"run '{run.info.run_name}' is in the hands of {holder}; "
            "wait for it, stop it, or choose another name"
        )
    tags["poise.attempt"] = str(int(known.get("poise.attempt", "0")) + 1)
    # The new controller is known before the run counts as running: `reconcile` may look between.
    store.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    for tag in _ON_ITS_END:
        if tag in known:
            store.client.delete_tag(run_id, tag)
    store.client.update_run(run_id, status="RUNNING")
    return run_id


def run_key(name: str) -> str:
    """What a single pretraining's run is found by."""
    return f"run:{name}".replace("'", "_")


def study_key(name: str) -> str:
    """What a study's run is found by."""
    return f"study:{name}".replace("'", "_")


def _trial_key(study: Run, trial_id: str) -> str:
    return f"trial:{study.run_id}:{trial_id}"


def _parameter(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _MAX_PARAM_LENGTH else f"{text[: _MAX_PARAM_LENGTH - 1]}…"


def _newest(points: Iterable[mlflow.entities.Metric]) -> list[tuple[int, float]]:
    by_step = {}
    for point in sorted(points, key=lambda point: point.timestamp):
        by_step[point.step] = point.value
    return sorted((step, unclipped(value)) for step, value in by_step.items())


def unclipped(value: float) -> float:
    """The database has no infinity; MLflow stores the largest float in its place."""
    if abs(value) >= sys.float_info.max * (1 - 1e-9):
        return float("inf") if value > 0 else float("-inf")
    return value
