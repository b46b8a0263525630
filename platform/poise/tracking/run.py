"""Creates a run in MLflow and writes to it.

A run is planned if it must wait, and created when it begins. Then its recipe, environment, metrics
and files are stored. At the end, the process that controls the run sets its final status. If that
process died, ``reconcile`` ends the run.

In: a store, recipes, metrics and files. Out: a ``Run`` that can be pickled and sent to the worker
that trains. Next: ``poise.tracking.ending``.

If the store does not answer, tags and files wait in the run's outbox, a folder on disk. So a run
continues without its store.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import entities
from mlflow.entities import Param, RunTag

from poise.config import PoiseError, Recipe
from poise.config.keys import leaves
from poise.config.yaml_core import dump_yaml
from poise.tracking.environment import controller_tags, describe_environment, holder_tags
from poise.tracking.known_run import KILLED_BECAUSE, keep_run, known_run, stored_run
from poise.tracking.run_lock import Holder
from poise.tracking.run_writer import RunWriter
from poise.tracking.store import Store, explained
from poise.tracking.time_limits import Patience, patiently
from poise.tracking.unsent_messages import Delivery, Outbox, deliver, file_delivery, tag_delivery
from poise.tracking.unsent_metrics import SPILL_FILE

FOLDER_TAG = "poise.waits_in"
"""Tag with the folder where a run's tags and metrics wait for the store. A trial has its own
folder. The tag ``poise.folder`` names the locked folder, which is the study's folder for a trial.
"""

_TAGS_OF_AN_END = (KILLED_BECAUSE, "poise.stopped_early")
"""Tags about the end of a run. These tags are removed when the run continues."""

_MAX_PARAM_LENGTH = 6000
_MAX_PARAMS_AT_ONCE = 100


@dataclass(frozen=True)
class Run:
    """One MLflow run, as plain data."""

    store: Store
    run_id: str
    experiment_id: str

    folder: str
    """Shared folder for metrics and tags while the store does not answer."""

    @property
    def outbox(self) -> Outbox:
        """Folder on disk with the run's tags, files and status that the store does not have yet."""
        return Outbox(Path(self.folder), self.run_id)

    def open_writer(self, patience: Patience | None = None, *, again: bool = False) -> RunWriter:
        """Makes the observer that writes the metrics of training. See ``RunWriter``."""
        return RunWriter(self.store, self.run_id, Path(self.folder, SPILL_FILE), patience, again)


# ---- creating a run, or finding it again --------------------------------------------------------


def create_run(store: Store, experiment: str, name: str, folder: str | Path) -> Run:
    """Creates the run of a single pretraining. If the folder already has a run, returns this run.

    Raises:
        PoiseError: another living process controls the run.
    """
    experiment_id = store.experiment(experiment)
    return _of_folder(store, experiment_id, run_key(name), name, Path(folder), {})


def create_study_run(store: Store, experiment: str, name: str, folder: str | Path) -> Run:
    """Creates the parent run of a study. If the folder already has a run, returns this run.

    Raises:
        PoiseError: another living process controls the run.
    """
    experiment_id = store.experiment(experiment)
    return _of_folder(store, experiment_id, study_key(name), name, Path(folder), {})


def create_probe_run(maker: Run, name: str, folder: str | Path) -> Run:
    """Creates the run of a probe, as a child of the run that made the probed model.

    If the folder already has a run, returns this run.

    Raises:
        PoiseError: another living process controls the run.
    """
    key, parent = _trial_key(maker, name), {"mlflow.parentRunId": maker.run_id}
    return _of_folder(maker.store, maker.experiment_id, key, name, Path(folder), parent)


@explained()
def create_trial_run(study: Run, trial_name: str, folder: str | Path) -> Run:
    """Creates the run of a trial, as a child of its study's run.

    A planned or resumed trial continues its existing run.
    """
    key = _trial_key(study, trial_name)
    tags = {
        **controller_tags(study.folder),
        "poise.key": key,
        "mlflow.parentRunId": study.run_id,
        FOLDER_TAG: str(Path(folder).absolute()),
    }
    condition = f"tags.`poise.key` = '{key}'"
    found = patiently(lambda: study.store.search_runs(condition, [study.experiment_id]))
    if found:
        run_id = _continue(study.store, found[0], tags)
    else:
        run_id = _create(study.store, study.experiment_id, trial_name, tags)
    return Run(study.store, run_id, study.experiment_id, str(Path(folder).absolute()))


@explained()
def plan_trial_run(study: Run, trial_name: str, settings: Mapping[str, Any]) -> str:
    """Creates the run of a waiting trial and returns its id. Its status is SCHEDULED.

    Later the trial's own process continues this run. If an earlier attempt has a run, that run is
    not changed.

    Args:
        study: run of the study, which becomes the parent.
        trial_name: name of the trial, such as ``t03-s1``.
        settings: hyperparameters of the trial, by dotted key.
    """
    key, client = _trial_key(study, trial_name), study.store.client
    found = study.store.search_runs(f"tags.`poise.key` = '{key}'", [study.experiment_id])
    if found:
        return str(found[0].info.run_id)
    # This process controls the run until the trial begins. MLflow creates a run as RUNNING, so
    # `reconcile` must find a living controller if it runs before the next line.
    tags = {**holder_tags(study.folder), "mlflow.parentRunId": study.run_id}
    tags |= {"poise.key": key, "poise.attempt": "0"}
    run = client.create_run(study.experiment_id, run_name=trial_name, tags=tags)
    run_id = str(run.info.run_id)
    client.update_run(run_id, status="SCHEDULED")
    values = [Param(name, _parameter(value)) for name, value in settings.items()]
    client.log_batch(run_id, params=values)
    return run_id


# ---- recipe, environment, tags and files --------------------------------------------------------


@explained()
def log_recipe(run: Run, recipe: Recipe, datasets: Mapping[str, str]) -> None:
    """Writes the complete recipe: parameters by dotted key, tags, and ``recipe.yaml``.

    MLflow stores a parameter only once. If a run is resumed with a different recipe, its parameters
    keep the first values. The tag ``poise.resumed_with`` lists the new values.

    Args:
        run: run to write to.
        recipe: recipe of the run.
        datasets: tags from ``dataset_tags``.
    """
    tree = recipe.model_dump(mode="json")
    values = {key: _parameter(value) for key, value in leaves(tree)}
    known = patiently(lambda: _add_parameters(run, values))
    tags = {"poise.recipe": recipe.name, **datasets}
    changed = [f"{k}={v}" for k, v in values.items() if known.get(k, v) != v]
    set_tags(run, tags | ({"poise.resumed_with": " ".join(changed)} if changed else {}))
    _log_text(run, dump_yaml(tree), "recipe.yaml")


def _add_parameters(run: Run, values: Mapping[str, str]) -> dict[str, str]:
    """Stores the parameters that the run does not have yet. Returns its earlier parameters."""
    known: dict[str, str] = run.store.client.get_run(run.run_id).data.params
    added = [Param(key, value) for key, value in values.items() if key not in known]
    for start in range(0, len(added), _MAX_PARAMS_AT_ONCE):
        chunk = added[start : start + _MAX_PARAMS_AT_ONCE]
        run.store.client.log_batch(run.run_id, params=chunk)
    return known


def log_environment(run: Run) -> None:
    """Writes ``environment.json``: versions, processors, accelerators and the command."""
    log_json(run, describe_environment(), "environment.json")


def log_json(run: Run, content: Mapping[str, Any], name: str) -> None:
    """Writes a JSON artifact such as ``verdict.json``."""
    _log_text(run, json.dumps(content, indent=2) + "\n", name)


def log_files(run: Run, paths: Iterable[str | Path], folder: str | None = None) -> None:
    """Copies files, such as pictures, into the run's artifacts."""
    for path in map(Path, paths):
        name = f"{folder}/{path.name}" if folder else path.name
        _tell(run, file_delivery(run.run_id, name, path.read_bytes()))


def set_tags(run: Run, tags: Mapping[str, object]) -> None:
    """Sets tags of a run. An existing tag of the same name is replaced."""
    _tell(run, tag_delivery(run.run_id, {key: str(value) for key, value in tags.items()}))


def _log_text(run: Run, content: str, name: str) -> None:
    _tell(run, file_delivery(run.run_id, name, content.encode()))


@explained()
def _tell(run: Run, message: Delivery) -> None:
    """Sends a message, or keeps it in the run's folder while the store does not answer.

    Raises:
        PoiseError: the store refuses the message for good.
    """
    deliver(run.store, run.outbox, message)


# ---- details ------------------------------------------------------------------------------------


@explained()
def _of_folder(
    store: Store, experiment_id: str, key: str, name: str, folder: Path, tags: Mapping[str, str]
) -> Run:
    found = patiently(lambda: find_run(store, key, folder))
    tags = {**tags, **controller_tags(folder), "poise.key": key}
    tags[FOLDER_TAG] = str(folder.absolute())
    if found is not None:
        run_id, experiment_id = _continue(store, found, tags), found.info.experiment_id
    else:
        run_id = _create(store, experiment_id, name, tags)
    keep_run(folder, store, run_id)
    return Run(store, run_id, experiment_id, str(folder.absolute()))


def find_run(store: Store, key: str, folder: Path) -> entities.Run | None:
    """Finds the run that belongs to a folder, or None if this store has none.

    Args:
        store: store to look in.
        key: value of the tag ``poise.key``, which finds runs of older versions of Poise.
        folder: folder of the run or study.
    """
    known = known_run(folder)
    if known is not None:
        return stored_run(store, known.run_id)
    found = store.search_runs(f"tags.`poise.key` = '{key}'")
    older = [run for run in found if "poise.folder" not in run.data.tags]
    return max(older, key=lambda run: run.info.start_time, default=None)


def _create(store: Store, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
    first = {**tags, "poise.attempt": "1"}
    made = patiently(lambda: store.client.create_run(experiment_id, run_name=name, tags=first))
    return str(made.info.run_id)


def _continue(store: Store, run: entities.Run, tags: dict[str, str]) -> str:
    run_id, known, client = str(run.info.run_id), run.data.tags, store.client
    holder = Holder.from_tags(known)
    if run.info.status == "RUNNING" and holder is not None and holder.is_another_running:
        raise PoiseError(
            f"run '{run.info.run_name}' is in the hands of {holder}; "
            "wait for it, stop it, or choose another name"
        )
    tags["poise.attempt"] = str(int(known.get("poise.attempt", "0")) + 1)
    Outbox(Path(tags[FOLDER_TAG]), run_id).forget_ending(_TAGS_OF_AN_END)
    # The new controller is stored before the status RUNNING, because `reconcile` may run in
    # between the two calls.
    pairs = [RunTag(key, value) for key, value in tags.items()]
    patiently(lambda: client.log_batch(run_id, tags=pairs))
    for tag in _TAGS_OF_AN_END:
        if tag in known:
            client.delete_tag(run_id, tag)
    client.update_run(run_id, status="RUNNING")
    return run_id


def run_key(name: str) -> str:
    """Returns the value of the tag ``poise.key`` that identifies a single pretraining."""
    return f"run:{name}".replace("'", "_")


def study_key(name: str) -> str:
    """Returns the value of the tag ``poise.key`` that identifies a study."""
    return f"study:{name}".replace("'", "_")


def _trial_key(study: Run, trial_name: str) -> str:
    return f"trial:{study.run_id}:{trial_name}"


def _parameter(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _MAX_PARAM_LENGTH else f"{text[: _MAX_PARAM_LENGTH - 1]}…"
