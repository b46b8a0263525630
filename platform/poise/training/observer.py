"""Contract between training and the observers of a run.

In: finished steps and verdicts of a run. Out: calls of ``RunObserver``. Next: its implementations,
which log to MLflow or print to the console.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from poise.diagnostics.judge import Verdict


@dataclass(frozen=True)
class FinishedStep:
    """Report of one finished step.

    ``metrics`` is empty except at logged steps, because computing metrics takes time.
    """

    step: int
    """Number of finished optimiser steps."""

    epoch: float
    images_seen: int
    metrics: dict[str, float] = field(default_factory=dict)


class RunObserver(Protocol):
    """Observer of a run on worker rank 0, such as the writer to MLflow."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Receives metrics. Implementations must return at once."""

    def judged(self, step: int, verdict: Verdict) -> None:
        """Receives a verdict if its kind has changed, before the step's metrics.

        Must return at once.
        """

    def note(self, step: int, topic: str, text: str) -> None:
        """Receives a sentence for the user. Must return at once.

        A later sentence on the same topic replaces the earlier sentence.
        """

    def show(self, step: int, name: str, picture: Tensor) -> None:
        """Receives an RGB picture, uint8 [3, h, w] on the CPU. Must return at once."""

    def flush(self) -> None:
        """Returns when all logged data are safely stored.

        This method is called before a checkpoint is saved. A resumed run does not repeat the steps
        before its checkpoint, so their metrics must be stored first.
        """

    def close(self) -> None:
        """Ends the observation, because the run is over."""
