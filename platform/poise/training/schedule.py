"""Timetable of a run: when it logs, evaluates, draws pictures and saves checkpoints.

In: a recipe and the size of its dataset. Out: ``Timetable``, which counts in optimiser steps. Next:
``poise.training.loop`` and ``poise.training.logging_and_checkpoints``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poise.config import PoiseError, Recipe
from poise.data.manifest import Manifest
from poise.data.views.normalization import normalization

if TYPE_CHECKING:
    from poise.objectives.base import RunPosition

UNTRAINED_STEP = 1
"""Step whose features still come from the untrained network: the first step."""

FIRST_LOOKS = (UNTRAINED_STEP, 8)
"""Early steps that every run logs, because verdicts compare a run with its beginning."""


@dataclass(frozen=True)
class Timetable:
    """Timetable of a run in steps. Only this class converts epochs to steps."""

    recipe: Recipe
    steps_per_epoch: int

    @property
    def planned_steps(self) -> int:
        """Length of the schedules (such as the learning rate's) in steps."""
        return self.recipe.training.epochs * self.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Number of steps after which the run ends: at most ``planned_steps``."""
        return min(self.planned_steps, self.recipe.training.stop_after_steps or self.planned_steps)

    def position(self, step: int) -> RunPosition:
        """Returns the position of a run that has finished ``step`` steps."""
        from poise.objectives.base import (
            RunPosition,  # not above: steps are counted without PyTorch
        )

        return RunPosition(step, self.steps_per_epoch, self.planned_steps)

    def evaluates(self, step: int) -> bool:
        """Returns True if the probe runs after ``step`` finished steps."""
        every_epochs = self.recipe.evaluation.every_epochs
        return every_epochs is not None and self._due(step, every_epochs * self.steps_per_epoch)

    def shows(self, step: int) -> bool:
        """Returns True if pictures are drawn after ``step`` finished steps.

        Pictures are drawn at every evaluation and at the end of the run.
        """
        return self.evaluates(step) or step == self.total_steps

    def checkpoints(self, step: int) -> bool:
        """Returns True if a checkpoint is planned after ``step`` finished steps.

        The elapsed time may require more checkpoints (``poise.training.checkpoint_pace``).
        """
        every = self.recipe.training.checkpoint_every_steps
        return self._due(step, self.total_steps if every == "auto" else every)

    @property
    def most_checkpoints(self) -> int:
        """Largest possible number of checkpoints of the run.

        If the elapsed time decides, there may be a checkpoint at each logged step.
        """
        training = self.recipe.training
        every, logged = training.checkpoint_every_steps, training.log_every_steps
        if not isinstance(every, int):
            return -(-self.total_steps // logged)
        by_clock = training.checkpoint_every_minutes is not None
        return -(-self.total_steps // (min(every, logged) if by_clock else every))

    def is_boundary(self, step: int) -> bool:
        """Returns True if metrics are logged after ``step`` finished steps."""
        logs = self._due(step, self.recipe.training.log_every_steps)
        looks = step in FIRST_LOOKS
        return looks or logs or self.evaluates(step) or self.checkpoints(step)

    def _due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self.total_steps


def steps_per_epoch(recipe: Recipe) -> int:
    """Returns the number of full batches in the training dataset.

    Raises:
        PoiseError: the dataset has fewer images than one batch, or has no statistics for the
            normalisation that the recipe requests.
    """
    try:
        manifest = Manifest.read(recipe.data.dataset)
    except PoiseError as error:
        raise PoiseError(f"data.dataset={error}") from None
    normalization(recipe.data.views, manifest)
    num_samples = manifest.num_samples
    if num_samples < recipe.training.batch_size:
        raise PoiseError(
            f"training.batch_size={recipe.training.batch_size} is more than the {num_samples} "
            f"images of {recipe.data.dataset}; make it smaller"
        )
    return num_samples // recipe.training.batch_size


def timetable_of(recipe: Recipe) -> Timetable:
    """Makes the timetable of a run of the recipe on its dataset.

    Raises:
        PoiseError: as ``steps_per_epoch``.
    """
    return Timetable(recipe, steps_per_epoch(recipe))


def total_steps_of(recipe: Recipe) -> int:
    """Returns the number of steps of a run of the recipe that is not stopped early."""
    return timetable_of(recipe).total_steps
