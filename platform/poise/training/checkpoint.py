"""Checkpoints: the whole state of a run in one folder, which is either complete or absent.

In: a run's state, recipe, history and datasets. Out: the same, in another process. Next:
``poise.training.logging_and_checkpoints`` writes them, ``poise.training.worker`` reads them.
"""

import json
from collections.abc import Collection
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from pydantic import ValidationError

from poise.config.errors import PoiseError
from poise.config.files import to_json
from poise.config.keys import leaves
from poise.config.recipe import Recipe
from poise.diagnostics.history import Entry, History
from poise.training.datasets import (
    Fingerprints,
    check_unchanged,
    fingerprints,
    trains_on_the_same,
)
from poise.training.loop import TrainingState, is_lost

STATE_FILE = "state.pt"
"""Tensors of the objective, the optimiser and the diagnostics, and the step."""

RUN_FILE = "run.json"
"""Recipe, step, history and the fingerprints of the datasets."""


def save_checkpoint(
    folder: Path,
    state: TrainingState,
    recipe: Recipe,
    history: History,
    datasets: Fingerprints | None = None,
) -> None:
    """Writes everything that is needed to resume a run.

    The step is also the position in the plan and in every schedule. Random numbers depend only on
    the step, so no random state has to be saved.

    Args:
        folder: new folder for the checkpoint.
        state: student, teacher, centre, optimiser, step, and state of the diagnostics.
        recipe: recipe of the run.
        history: metrics of every logged step so far.
        datasets: fingerprints of the run's datasets.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "objective": state.objective.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
        "window": state.window.state_dict(),
    }
    partial = folder / f"{STATE_FILE}.partial"
    torch.save(tensors, partial)
    run = {
        "recipe": recipe.model_dump(mode="json"),
        "datasets": dict(datasets or {}),
        "step": state.step,
        "history": [
            (step, {k: to_json(v) for k, v in metrics.items()}) for step, metrics in history
        ],
    }
    (folder / RUN_FILE).write_text(json.dumps(run, allow_nan=False), encoding="utf-8")
    partial.replace(folder / STATE_FILE)  # last: a folder with this file is complete


def load_checkpoint(
    folder: Path, state: TrainingState, recipe: Recipe, changed: Collection[str] = ()
) -> list[Entry]:
    """Restores a run from a checkpoint, and returns its history.

    Args:
        folder: folder of the checkpoint.
        state: receives the checkpoint's tensors and step.
        recipe: recipe of the run.
        changed: dotted keys of settings that may differ from the checkpoint's recipe.

    Raises:
        PoiseError: the checkpoint cannot be read, another recipe made it, or the content of a
            dataset has changed.
    """
    run = read_run(folder)
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
    try:
        tensors = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise PoiseError(f"{folder / STATE_FILE}: cannot be read: {error}") from None
    state.objective.load_state_dict(tensors["objective"])
    state.optimizer.load_state_dict(tensors["optimizer"])
    state.step = tensors["step"]
    if "window" in tensors:  # older checkpoints have no window
        state.window.load_state_dict(tensors["window"])
    return [(step, metrics) for step, metrics in run["history"]]


def newest_checkpoint(run_folder: Path) -> Path | None:
    """Returns the newest complete checkpoint of a run; None if there is none."""
    folders = [path.parent for path in run_folder.rglob(STATE_FILE)]
    return max(folders, key=lambda path: path.name, default=None)  # names begin with the time


def read_run(folder: Path) -> dict[str, Any]:
    """Reads a checkpoint's description of its run: recipe, step and history."""
    try:
        content: dict[str, Any] = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise PoiseError(f"{folder / RUN_FILE}: cannot be read: {error}") from None
    content["history"] = [
        (step, {name: float(value) for name, value in metrics.items()})
        for step, metrics in content["history"]
    ]
    return content


def step_of_package(folder: str | Path) -> int | None:
    """The step of the checkpoint that a backbone's package belongs to.

    Args:
        folder: the package's folder, or any other reference to a model.

    Returns:
        None if the package is in no checkpoint, or its checkpoint cannot be read.
    """
    checkpoint = Path(folder).parent
    if not (checkpoint / STATE_FILE).is_file():
        return None
    try:
        return int(read_run(checkpoint)["step"])
    except (PoiseError, KeyError):
        return None


_PLACEMENT: Any = {
    "data": {"placement", "cut_processes", "prefetch_batches"},
    "training": {
        "num_workers", "cpus_per_worker", "device", "log_every_steps", "checkpoint_every_steps",
        "keep_checkpoints", "stop_after_steps", "stop_collapsed",
    },
    "evaluation": True,
}  # fmt: skip
"""Settings that do not change what is learned. A resumed run may change them."""


def _what_is_learned(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude=_PLACEMENT)


def difference(there: Recipe, here: Recipe, apart_from: Collection[str] = ()) -> str | None:
    """Describes the first differing setting that changes what is learned; None if there is none."""
    left, right = (dict(leaves(_what_is_learned(recipe))) for recipe in (there, here))
    for key in left | right:
        if key not in apart_from and left.get(key) != right.get(key):
            return f"{key}: {left.get(key)} there, {right.get(key)} here"
    return None
