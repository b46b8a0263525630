"""Checkpoints: folders with the whole state of a run. A checkpoint is either complete or absent.

In: a run's state, recipe, history and fingerprints of datasets. Out: a folder, and the same state
in another process. Next: ``poise.training.logging_and_checkpoints`` writes checkpoints, and
``poise.training.on_worker`` reads them.
"""

import io
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import Any

import torch
from pydantic import ValidationError

from poise.config.errors import OutageError, PoiseError, one_line
from poise.config.files import to_json
from poise.config.keys import leaves
from poise.config.locations import AnyLocation, Location
from poise.config.outages import is_outage
from poise.config.recipe import Recipe
from poise.diagnostics.history import Entry, History
from poise.training.datasets import (
    Fingerprints,
    check_unchanged,
    fingerprints,
    trains_on_the_same,
)
from poise.training.elastic import Attempt
from poise.training.loop import TrainingState, is_lost
from poise.training.sample_order_check import check_same_order

STATE_FILE = "state.pt"
"""File with the step and the tensors of objective, optimiser and diagnostics."""

RUN_FILE = "run.json"
"""File with recipe, step, history, numbers of workers, order of samples and fingerprints of the
datasets. It is small and is written last, so a folder with this file is complete.
"""

_SHOWN = 200  # characters of a library's error


def save_checkpoint(
    folder: Path,
    state: TrainingState,
    recipe: Recipe,
    history: History,
    datasets: Fingerprints | None = None,
    sample_order: str | None = None,
) -> None:
    """Writes everything that is needed to resume a run.

    The step is also the position in the order of samples and in every schedule. Random numbers
    depend only on seed and step, so no generator's state is saved.

    Args:
        folder: new folder for the checkpoint.
        state: student, teacher, centre, optimiser, step, and state of the diagnostics.
        recipe: recipe of the run.
        history: metrics of every logged step so far.
        datasets: fingerprints of the run's datasets.
        sample_order: description of the order in which the run reads its samples.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "objective": state.objective.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
        "window": state.window.state_dict(),
        "interval": state.meter.state_dict(),
    }
    torch.save(tensors, folder / STATE_FILE)
    run = {
        "recipe": recipe.model_dump(mode="json"),
        "datasets": dict(datasets or {}),
        "sample_order": sample_order,
        "step": state.step,
        "attempts": [asdict(attempt) for attempt in state.attempts],
        "history": [
            (step, {k: to_json(v) for k, v in metrics.items()}) for step, metrics in history
        ],
    }
    Location.of(folder / RUN_FILE).write_text(json.dumps(run, allow_nan=False))


def load_checkpoint(
    folder: AnyLocation, state: TrainingState, recipe: Recipe, changed: Collection[str] = ()
) -> list[Entry]:
    """Restores a run from a checkpoint, and returns its history.

    Args:
        folder: folder of the checkpoint.
        state: state of the run, which is overwritten with the checkpoint's tensors and step.
        recipe: recipe of the run.
        changed: dotted keys of settings that may differ from the checkpoint's recipe.

    Raises:
        PoiseError: the checkpoint cannot be read, its recipe differs, the content of a dataset has
            changed, or the run would continue in another order of samples.
    """
    folder, run = Location.of(folder), read_run(folder)
    try:
        made_by = Recipe.model_validate(run["recipe"])
    except ValidationError:
        raise PoiseError(
            f"{folder}: was made by another version of Poise, whose recipes this version cannot "
            "read"
        ) from None
    if run["history"] and is_lost(run["history"][-1][1]):
        raise PoiseError(
            f"{folder}: the run had diverged when it was stored, and more training cannot repair "
            "it; start another with a lower optimizer.base_lr or a longer warm-up"
        )
    known = {} if "data.dataset" in changed else run.get("datasets", {})
    moved = {"data.dataset"} if trains_on_the_same(known, made_by, recipe) else set()
    differs = difference(made_by, recipe, {*changed, *moved})
    if differs:
        raise PoiseError(
            f"{folder}: was made by another recipe ({differs}); "
            "resume with the recipe it began with, or start a run of another name"
        )
    if known:
        check_unchanged(f"the run of {folder}", known, fingerprints(recipe))
        if not changed:
            check_same_order(str(folder), run.get("sample_order"), recipe)
    _restore(folder, state)
    state.attempts = _attempts(run)
    return [(step, metrics) for step, metrics in run["history"]]


def _restore(folder: Location, state: TrainingState) -> None:
    """Copies the tensors and the step of a checkpoint into ``state``."""
    try:
        tensors = torch.load(_readable(folder / STATE_FILE), map_location="cpu", weights_only=True)
        step = int(tensors["step"])
        objective, optimizer = tensors["objective"], tensors["optimizer"]
    except (OSError, RuntimeError, EOFError, UnpicklingError, LookupError, TypeError) as error:
        raise _unreadable(folder / STATE_FILE, error) from None
    state.objective.load_state_dict(objective)
    state.optimizer.load_state_dict(optimizer)
    state.step = step
    if "window" in tensors:  # older checkpoints have neither window nor interval
        state.window.load_state_dict(tensors["window"])
    if "interval" in tensors:
        device = next(state.objective.parameters()).device
        state.meter.load_state_dict(tensors["interval"], device)


def _attempts(run: dict[str, Any]) -> list[Attempt]:
    kept = run.get("attempts", ())  # older checkpoints have none
    return [Attempt(each["step"], each["workers"], tuple(each["nodes"])) for each in kept]


def _readable(file: Location) -> Path | io.BytesIO:
    return file.local if file.is_local else io.BytesIO(file.read_bytes())


def newest_checkpoint(run_folder: AnyLocation) -> Location | None:
    """Returns the newest complete checkpoint of a run; None if there is none."""
    return max(checkpoints(run_folder), key=lambda place: place.name, default=None)


def checkpoints(run_folder: AnyLocation) -> list[Location]:
    """Lists the complete checkpoints of a run. The order of their names is the order of time.

    Folders whose names begin with a dot are incomplete, because they are still being written or
    their process was killed.
    """
    place = Location.of(run_folder)
    return [place / folder for folder in complete_folders(place.files(recursive=True))]


def complete_folders(paths: Iterable[str]) -> list[str]:
    """Returns the folders of complete checkpoints.

    Args:
        paths: relative paths of all files in a run's folder.
    """
    files = set(map(PurePosixPath, paths))
    whole = (
        path.parent
        for path in files
        if path.name == STATE_FILE and not any(part.startswith(".") for part in path.parts)
    )
    return [str(folder) for folder in whole if folder / RUN_FILE in files]


def read_run(folder: AnyLocation) -> dict[str, Any]:
    """Reads ``run.json`` of a checkpoint: recipe, step, history and more."""
    file = Location.of(folder) / RUN_FILE
    try:
        content: dict[str, Any] = json.loads(file.read_text())
        content["step"] = int(content["step"])
        content["recipe"] = dict(content["recipe"])
        content["history"] = [
            (int(step), {name: float(value) for name, value in metrics.items()})
            for step, metrics in content["history"]
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(file, error) from None
    return content


def _unreadable(file: Location, error: BaseException) -> PoiseError:
    why = f"it has no {error}" if isinstance(error, KeyError) else one_line(error, _SHOWN)
    if is_outage(error):
        return OutageError(f"{file}: cannot be read: {why}; check the disk or the network")
    return PoiseError(
        f"{file}: cannot be read: {why}; delete its folder to resume from the checkpoint before it"
    )


def step_of_package(folder: AnyLocation) -> int | None:
    """Returns the step of the checkpoint that a backbone's package belongs to.

    Args:
        folder: the package's folder, or any other reference to a model.

    Returns:
        None if the package is in no checkpoint, or its checkpoint cannot be read.
    """
    checkpoint = Location.of(folder).parent
    if not (checkpoint / STATE_FILE).is_file():
        return None
    try:
        return int(read_run(checkpoint)["step"])
    except (PoiseError, KeyError):
        return None


_PLACEMENT: Any = {
    "data": {"placement", "cut_processes", "prefetch_batches"},
    "training": {
        "num_workers", "min_workers", "micro_batch_size", "activation_checkpointing", "sharding",
        "cpus_per_worker", "device", "log_every_steps", "checkpoint_every_steps",
        "checkpoint_every_minutes", "keep_checkpoints", "stop_after_steps", "stop_collapsed",
        "hang_timeout_minutes", "storage_patience_minutes",
    },
    "evaluation": True,
}  # fmt: skip
"""Settings that may change when a run is resumed, because they do not affect the learned weights.
"""


def _what_is_learned(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude=_PLACEMENT)


def difference(there: Recipe, here: Recipe, apart_from: Collection[str] = ()) -> str | None:
    """Describes the first setting in which two recipes differ.

    Settings that do not change what is learned are ignored. Returns None if no other setting
    differs.
    """
    left, right = (dict(leaves(_what_is_learned(recipe))) for recipe in (there, here))
    for key in left | right:
        if key not in apart_from and left.get(key) != right.get(key):
            return f"{key}: {left.get(key)} there, {right.get(key)} here"
    return None
