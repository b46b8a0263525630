"""Trains a run of one worker in this process. A sweep reuses the process for its next trial.

In: a ``RunSpec``. Out: its ``Outcome``, and the same checkpoints in the same folder as with Ray
Train. Next: ``poise.runs.pretraining``. With Ray Train a run has two further processes. Each
imports its libraries, which takes longer than a short trial trains.
"""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from poise.config.errors import PoiseError
from poise.training.capacity import uses_gpu
from poise.training.checkpoint import STATE_FILE, newest_checkpoint, read_run
from poise.training.on_worker import Place, train_on_worker
from poise.training.spec import Outcome, RunSpec


def fit_in_process(spec: RunSpec) -> Outcome:
    """Carries out one run, or continues an interrupted run.

    Raises:
        PoiseError: the recipe needs more than one worker, or there is an error that the user can
            fix.
    """
    num_workers = spec.recipe.training.num_workers
    if num_workers != 1:
        raise PoiseError(f"training.num_workers={num_workers}: one process trains with 1")
    folder = spec.storage / spec.name
    keeper = _Keeper(folder, spec.recipe.training.keep_checkpoints)
    device = torch.device("cuda" if uses_gpu(spec.recipe) else "cpu")
    train_on_worker(spec, Place(device, keeper), newest_checkpoint(folder))
    checkpoint = newest_checkpoint(folder)
    if checkpoint is None:
        raise PoiseError(f"run {spec.name}: ended without a checkpoint")
    return Outcome(checkpoint, [tuple(entry) for entry in read_run(checkpoint)["history"]])


@dataclass(frozen=True)
class _Keeper:
    """Keeps the newest checkpoints of a run, with names as in Ray Train."""

    folder: Path
    most: int | None
    """Number of checkpoints to keep; None keeps all."""

    def __call__(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        """Receives a report of the run.

        A checkpoint is copied and gets its name when it is complete.
        """
        if checkpoint is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"checkpoint_{datetime.now():%Y-%m-%d_%H-%M-%S.%f}"
        partial = self.folder / f".{name}.partial"
        shutil.copytree(checkpoint, partial)
        partial.rename(self.folder / name)
        self._remove_old()

    def _remove_old(self) -> None:
        kept = sorted(path.parent for path in self.folder.glob(f"checkpoint_*/{STATE_FILE}"))
        for old in kept[: -self.most] if self.most is not None else ():
            shutil.rmtree(old, ignore_errors=True)
        for left in self.folder.glob(".checkpoint_*.partial"):  # left by killed attempts
            shutil.rmtree(left, ignore_errors=True)
