"""Choosing a backbone without labels: which metric would have chosen best.

In: records. Out: ``Selection``. Next: ``poise.sweeps.findings``.
"""

from dataclasses import dataclass

from poise.sweeps.comparison import Mode
from poise.sweeps.estimates import Correlation


@dataclass(frozen=True)
class Choice:
    """What a metric knows of some trials, and which of them it would have chosen."""

    correlation: Correlation
    """With the figure that labels give; positive where the metric points the right way."""

    trial: str | None
    value: float | None
    """The figure that labels give for the chosen trial."""

    regret: float | None
    """To the best of the same trials, in the figure's unit; never negative."""


@dataclass(frozen=True)
class Selector:
    """One metric that needs no labels."""

    metric: str
    mode: Mode
    """Which of its ends is taken for good."""

    everything: Choice
    """Among all trials that have both figures."""

    healthy: Choice
    """Among those with a healthy verdict, which needs no labels either."""


@dataclass(frozen=True)
class Selection:
    """Metrics that need no labels, held against one that does."""

    target: str
    best: str
    """The trial that labels choose."""

    best_value: float
    selectors: tuple[Selector, ...]
