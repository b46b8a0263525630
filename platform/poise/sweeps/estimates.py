"""Small samples, honestly: intervals, paired differences and how often.

In: a few numbers, one per seed. Out: each figure with how sure it is; what cannot be known of so
few is none, never a guess. Next: ``poise.sweeps.comparison`` and its neighbours.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval."""

    value: float | None
    """None where nothing was measured."""

    low: float | None
    """None, as ``high``, where the interval cannot be known: of fewer than two values."""

    high: float | None
    n: int
    """Values that it is of."""


@dataclass(frozen=True)
class Difference:
    """A setting minus the baseline, seed by seed."""

    value: float | None
    """Mean of the differences; none where the two share no seed."""

    low: float | None
    high: float | None
    p: float | None
    """Two-sided, of no difference; none where it cannot be known."""

    p_holm: float | None
    """Corrected for all comparisons of the study."""

    n: int
    """Seeds that both have."""


@dataclass(frozen=True)
class Share:
    """``count`` of ``n``, with the exact 95 % interval of the chance behind it, from 0 to 1."""

    count: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share; none of nothing."""
        return self.count / self.n if self.n else None


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, from -1 to 1."""

    value: float | None
    """None where ranks say nothing: fewer than three pairs, or all alike."""

    p: float | None
    """Two-sided, of no correlation."""

    n: int
    """Pairs that it is of."""
