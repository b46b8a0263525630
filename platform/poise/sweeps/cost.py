"""What a study cost, and what stopping early saved.

In: records. Out: ``Cost``. Next: ``poise.sweeps.findings``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrialCost:
    """One trial's."""

    trial: str
    state: str
    steps: int
    planned_steps: int
    """Until it would have ended by itself; 0 where it never got that far."""

    hours: float
    stopped_by: str
    """Who ended it early; empty where nobody did."""

    @property
    def saved_steps(self) -> int:
        """That it was spared."""
        return max(self.planned_steps - self.steps, 0) if self.stopped_by else 0


@dataclass(frozen=True)
class Cost:
    """All trials together."""

    steps: int
    planned_steps: int
    saved_steps: int
    hours: float
    """Of trials, which run beside each other: not of the clock."""

    images: int
    """That went through training, an image counted each time."""

    images_per_s: float | None
    """Of one trial, with its starts and evaluations."""

    stopped: dict[str, int]
    """How many trials each stopper ended."""

    trials: tuple[TrialCost, ...]

    @property
    def saved_share(self) -> float | None:
        """Of the planned steps."""
        return self.saved_steps / self.planned_steps if self.planned_steps else None
