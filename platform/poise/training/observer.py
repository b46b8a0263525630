"""The contract between training and those who follow a run.

In: finished steps and verdicts of a run. Out: calls of ``RunObserver``. Next: the tracker and the
console, which are observers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from poise.diagnostics.judge import Verdict


@dataclass(frozen=True)
class FinishedStep:
    """One finished step. ``metrics`` is empty except at logged steps: reading them takes time."""

    step: int
    """Optimiser steps finished."""

    epoch: float
    images_seen: int
    metrics: dict[str, float] = field(default_factory=dict)


class RunObserver(Protocol):
    """An observer of a run on its first worker, such as the tracker."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes metrics; must return at once."""

    def judged(self, step: int, verdict: Verdict) -> None:
        """Takes a verdict whose kind differs from the last one, before the step's metrics.

        It must return at once.
        """

    def show(self, step: int, name: str, picture: Tensor) -> None:
        """Takes an RGB picture, uint8 [3, h, w] on the CPU; must return at once."""

    def flush(self) -> None:
        """Returns when all that was logged is safe.

        Called before a checkpoint is committed, so that a resumed run never lacks the metrics of
        steps that it will not repeat.
        """

    def close(self) -> None:
        """Ends the observation: the run is over."""
