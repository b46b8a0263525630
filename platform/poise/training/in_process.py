"""Trains a run of one worker in this process. A sweep reuses this process for its next trial.

Ray is not necessary, for example in notebooks: without Ray, this process also reads the images.

In: a ``RunSpec``. Out: its ``Outcome``, and checkpoints as with Ray Train. Next:
``poise.runs.pretraining``. Ray Train would start two more processes for a run. In a short trial,
their imports take longer than training.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import ray
import torch

from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.outages import patiently
from poise.training.capacity import uses_gpu
from poise.training.checkpoint import checkpoints, newest_checkpoint, read_run
from poise.training.checkpoint_store import (
    PREFIX,
    later_name,
    store_checkpoint,
    time_name,
)
from poise.training.on_worker import Place, train_on_worker
from poise.training.sigterm import TakenBack
from poise.training.spec import Outcome, RunSpec


def fit_in_process(spec: RunSpec) -> Outcome:
    """Carries out one run, or continues an interrupted run.

    Raises:
        PoiseError: the recipe needs more than one worker, or there is another error that the user
            can fix.
        TakenBack: this process was asked to stop. The run has a checkpoint and can be resumed.
    """
    num_workers = spec.recipe.training.num_workers
    if num_workers != 1:
        raise PoiseError(f"training.num_workers={num_workers}: one process trains with 1")
    folder = spec.storage / spec.name
    training = spec.recipe.training
    keeper = CheckpointKeeper(folder, training.keep_checkpoints, spec.patience_s)
    device = torch.device("cuda" if uses_gpu(spec.recipe) else "cpu")
    place = Place(device, keeper, source="ray" if ray.is_initialized() else "local")
    reason = train_on_worker(spec, place, newest_checkpoint(folder))
    checkpoint = newest_checkpoint(folder)
    if checkpoint is None:
        why = f": {reason}" if reason else ""
        raise PoiseError(f"run {spec.name}: ended without a checkpoint{why}")
    kept = read_run(checkpoint)
    if reason is not None:
        raise TakenBack(reason, kept["step"])
    return Outcome(checkpoint, [tuple(entry) for entry in kept["history"]])


@dataclass(frozen=True)
class CheckpointKeeper:
    """Stores the checkpoints of a run, with names as in Ray Train, and removes old checkpoints."""

    folder: Location
    most: int | None
    """Number of checkpoints to keep; None keeps all."""

    patience_s: float = 0.0
    """Seconds during which a failed write or removal is repeated."""

    def __call__(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        """Receives a report of the run, and stores its checkpoint.

        The checkpoint gets its final name when it is complete.
        """
        if checkpoint is None:
            return
        place = patiently(self._next_place, f"reading {self.folder}", self.patience_s)
        patiently(lambda: store_checkpoint(checkpoint, place), f"storing {place}", self.patience_s)
        patiently(self._remove_old, f"removing old checkpoints of {self.folder}", self.patience_s)

    def _next_place(self) -> Location:
        return self.folder / later_name(self.folder, time_name(datetime.now()))

    def _remove_old(self) -> None:
        every = checkpoints(self.folder)
        kept = sorted(each for each in every if each.name.startswith(PREFIX))
        for old in kept[: -self.most] if self.most is not None else ():
            old.delete_folder()
