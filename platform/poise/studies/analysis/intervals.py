"""Confidence intervals of small samples: means, shares and correlations.

In: a few numbers, one per seed. Out: an estimate with its interval. It has no interval if there are
too few numbers. Next: ``poise.studies.findings.comparison`` and its neighbours.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
"""Confidence level of every interval."""

FEWEST_PAIRS = 3
"""Smallest number of pairs for a rank correlation."""


@dataclass(frozen=True)
class Estimate:
    """Mean with its 95 % confidence interval."""

    value: float | None
    """Mean of the measured values, or None without any value."""

    low: float | None
    """Lower end of the interval. Both ends are None with fewer than two values."""

    high: float | None
    n: int
    """Number of measured values."""


@dataclass(frozen=True)
class Share:
    """Share ``count / n``, with the exact 95 % confidence interval of the true rate, from 0 to 1.

    It has no interval if trials were ended early because of their outcomes. The counted trials are
    then no random sample.
    """

    count: int
    n: int
    low: float | None
    high: float | None

    @property
    def value(self) -> float | None:
        """Share from 0 to 1, or None if n is 0."""
        return self.count / self.n if self.n else None


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, from -1 to 1.

    It has no p-value. A p-value needs independent pairs, and trials of one setting are similar.
    """

    value: float | None
    """Correlation. It is None with fewer than three pairs, or if one side has only equal values."""

    n: int
    """Number of pairs with two measured values."""


def is_figure(value: float | None) -> bool:
    """Returns True if a value was measured and is finite."""
    return value is not None and math.isfinite(value)


def mean_interval(
    values: Iterable[float | None], bounds: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """Computes the mean and Student's confidence interval: x̄ ± t(0.975, n - 1) · s / √n.

    If values of seeds have a normal distribution, 95 of 100 such intervals contain the true mean. A
    single value has no interval. Equal values have an interval of width 0: these values do not
    vary, but values of other seeds may differ. Values that are None, NaN or infinite are left out
    and not counted in ``n``.

    Source: Student, "The probable error of a mean" (Biometrika, 1908).

    Args:
        values: one value per seed or trial.
        bounds: smallest and largest possible value of the metric. The interval ends there.
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
    """Computes a share and the exact (Clopper-Pearson) interval of the true rate.

    At the lower end, a count this high or higher occurs in 2.5 of 100 cases. At the upper end, a
    count this low or lower occurs as rarely. For example, the interval of 3 of 3 is 29 % to 100 %.
    The interval contains the true rate in at least 95 of 100 cases. For n = 0 it is 0 to 1.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits" (1934).
    """
    if not n:
        return Share(0, 0, 0.0, 1.0)
    interval = stats.binomtest(count, n).proportion_ci(CONFIDENCE, method="exact")
    return Share(count, n, float(interval.low), float(interval.high))


def rank_correlation(first: Sequence[float | None], second: Sequence[float | None]) -> Correlation:
    """Computes Spearman's ρ: Pearson's correlation of ranks. Equal values share their mean rank.

    1 means the same order, -1 the opposite order, and 0 no relation. A pair with a missing value is
    left out. The result is None with fewer than three pairs, or if one side has only equal values.

    Source: Spearman, "The proof and measurement of association between two things" (1904).

    Args:
        first: values of one metric, one per trial.
        second: values of another metric, for the same trials.
    """
    pairs = [pair for pair in zip(first, second, strict=True) if all(map(is_figure, pair))]
    n = len(pairs)
    if n < FEWEST_PAIRS:
        return Correlation(None, n)
    x, y = stats.rankdata(np.array(pairs, float), axis=0).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(None, n)
    return Correlation(float(stats.spearmanr(x, y).statistic), n)


def _known(values: Iterable[float | None]) -> list[float]:
    return [float(value) for value in values if value is not None and math.isfinite(value)]


def are_equal(values: Sequence[float] | np.ndarray, magnitude: float) -> bool:
    """Returns True if the values differ only by rounding errors."""
    return bool(np.ptp(values) <= 1e-12 * magnitude)
