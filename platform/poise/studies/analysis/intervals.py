"""Intervals of small samples: means, shares and correlations.

In: a few numbers, one per seed. Out: each figure with its interval, or none if so few numbers have
none. Next: ``poise.studies.findings.comparison`` and its neighbours.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
"""The confidence of every interval."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval."""

    value: float | None
    """The mean; none where nothing was measured."""

    low: float | None
    """The interval's lower end; none, as ``high``, with fewer than two values."""

    high: float | None
    n: int
    """Number of measured values."""


@dataclass(frozen=True)
class Share:
    """``count`` of ``n``, with the exact 95 % interval of the true rate, from 0 to 1.

    It has no interval where the outcomes decided which trials are counted.
    """

    count: int
    n: int
    low: float | None
    high: float | None

    @property
    def value(self) -> float | None:
        """The share, from 0 to 1; none where n is 0."""
        return self.count / self.n if self.n else None


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, from -1 to 1: a guide, not a test.

    It has no p-value, which would need independent pairs: trials of one setting are similar.
    """

    value: float | None
    """None with fewer than three pairs, or where all values of one side are equal."""

    n: int
    """Number of pairs."""


def is_figure(value: float | None) -> bool:
    """Whether a value was measured and is finite."""
    return value is not None and math.isfinite(value)


def mean_interval(
    values: Iterable[float | None], bounds: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """The mean and Student's interval: x̄ ± t(0.975, n - 1) · s / √n.

    If seeds scatter like a normal distribution, 95 of 100 such intervals contain the mean of
    infinitely many seeds. One value has no interval. Equal values have an interval of width 0,
    which says that nothing varied, not that nothing can vary. Values that are none, NaN or
    infinite are left out, and ``n`` does not count them.

    Source: Student, "The probable error of a mean" (Biometrika, 1908).

    Args:
        values: one per seed or trial.
        bounds: the smallest and the largest possible value, at which the interval ends.
    """
    known = _known(values)
    n = len(known)
    if not n:
        return Estimate(None, None, None, 0)
    mean = math.fsum(known) / n
    if n == 1:
        return Estimate(mean, None, None, 1)
    if are_equal(known, np.abs(known).max()):
        return Estimate(mean, mean, mean, n)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * stats.sem(known))
    return Estimate(mean, max(mean - half, bounds[0]), min(mean + half, bounds[1]), n)


def share_interval(count: int, n: int) -> Share:
    """A share and the exact interval of the true rate.

    Its ends are the rates at which a count this high, or this low, occurs in 2.5 of 100 cases:
    3 of 3 has 29 % to 100 %. The interval is never too narrow. For n = 0 it is 0 to 1.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits" (1934).
    """
    if not n:
        return Share(0, 0, 0.0, 1.0)
    interval = stats.binomtest(count, n).proportion_ci(CONFIDENCE, method="exact")
    return Share(count, n, float(interval.low), float(interval.high))


def rank_correlation(first: Sequence[float | None], second: Sequence[float | None]) -> Correlation:
    """Spearman's ρ: Pearson's correlation of ranks, where ties share their mean rank.

    1 means the same order, -1 the opposite order, 0 no relation. A pair with a value that was not
    measured is left out. With fewer than three pairs, or equal figures, it is none.

    Source: Spearman, "The proof and measurement of association between two things" (1904).

    Args:
        first: figures, one per trial.
        second: the other figures of the same trials.
    """
    pairs = [pair for pair in zip(first, second, strict=True) if all(map(is_figure, pair))]
    n = len(pairs)
    if n < 3:
        return Correlation(None, n)
    x, y = stats.rankdata(np.array(pairs, float), axis=0).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(None, n)
    return Correlation(float(stats.spearmanr(x, y).statistic), n)


def _known(values: Iterable[float | None]) -> list[float]:
    return [float(value) for value in values if value is not None and math.isfinite(value)]


def are_equal(values: Sequence[float] | np.ndarray, magnitude: float) -> bool:
    """Whether values differ by no more than rounding."""
    return bool(np.ptp(values) <= 1e-12 * magnitude)
