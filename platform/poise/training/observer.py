"""What training tells the outside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from poise.diagnostics.judge import Verdict


@dataclass(frozen=True)
class FinishedStep:
    """One finished step. ``metrics`` is filled at boundaries only: to read them is to wait."""

    step: int
    """Optimiser steps finished."""

    epoch: float
    images_seen: int
    metrics: dict[str, float] = field(default_factory=dict)


class RunObserver(Protocol):
    """Someone who follows a run from its first worker, such as the tracker."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes metrics; must return at once."""

    def judged(self, step: int, verdict: Verdict) -> None:
        """Takes a verdict of another kind than the last, before the step's metrics.

        Must return at once.
        """

    def show(self, step: int, name: str, picture: Tensor) -> None:
        """Takes an RGB picture, uint8 [3, h, w] on the CPU; must return at once."""

    def flush(self) -> None:
        """Returns when all that was logged is safe.

        Called before a checkpoint is committed, so that a resumed run never lacks the metrics of
        steps that it will not repeat.
        """

    def close(self) -> None:
        """The run is over."""
