"""Small samples, honestly: intervals, paired differences and how often.

In: a few numbers, one per seed. Out: each figure with how sure it is; what cannot be known of so
few is none, never a guess. Next: ``poise.studies.findings.comparison`` and its neighbours.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
"""Of every interval."""


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
    """``count`` of ``n``, with the exact 95 % interval of the chance behind it, from 0 to 1.

    No interval where who is counted depends on how they went: then the share estimates no chance.
    """

    count: int
    n: int
    low: float | None
    high: float | None

    @property
    def value(self) -> float | None:
        """The share; none of nothing."""
        return self.count / self.n if self.n else None


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation, from -1 to 1: a guide, no test.

    It has no p-value: that takes pairs for independent, and trials of one setting are alike.
    """

    value: float | None
    """None where ranks say nothing: fewer than three pairs, or all alike."""

    n: int
    """Pairs that it is of."""


def is_figure(value: float | None) -> bool:
    """Whether something was measured: it is there and finite."""
    return value is not None and math.isfinite(value)


def mean_interval(values: Iterable[float | None]) -> Estimate:
    """The mean and Student's interval: x̄ ± t(0.975, n - 1) · s / √n.

    Where seeds scatter like a normal distribution, 95 of 100 such intervals hold the mean that
    endless seeds would have. One value has no interval; values that are all alike have one of no
    width, which says that nothing varied, not that nothing could. What was not measured (none, NaN,
    infinite) is left out, and ``n`` says so.

    Source: Student, "The probable error of a mean" (Biometrika, 1908).
    """
    known = _figures(values)
    n = len(known)
    if not n:
        return Estimate(None, None, None, 0)
    mean = math.fsum(known) / n
    if n == 1:
        return Estimate(mean, None, None, 1)
    if _alike(known, np.abs(known).max()):
        return Estimate(mean, mean, mean, n)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * stats.sem(known))
    return Estimate(mean, mean - half, mean + half, n)


def paired_difference(
    values: Mapping[int, float | None], baseline: Mapping[int, float | None]
) -> Difference:
    """Setting minus baseline over the seeds that both have: mean, interval and paired t-test.

    t = d̄ / (s_d / √n) with n - 1 degrees of freedom. Trials of one seed see the same images and
    crops, so that what a seed does to both cancels, and few seeds show what unpaired ones could
    not. A seed that one of the two lacks says nothing and is left out.

    One common seed has a difference without interval or p. Differences that are all alike have an
    interval of no width; if they are all 0, p is 1, else it is not known: t is infinite, which so
    few seeds cannot bear out.

    Args:
        values: figure by seed.
        baseline: the same for the baseline.
    """
    pairs = [(values[seed], baseline.get(seed)) for seed in values]
    both = np.array([pair for pair in pairs if all(map(is_figure, pair))], float).reshape(-1, 2)
    each, n = both[:, 0] - both[:, 1], len(both)
    if n < 2:
        return Difference(float(each[0]) if n else None, None, None, None, None, n)
    mean = float(each.mean())
    if _alike(each, np.abs(both).max()):
        return Difference(mean, mean, mean, 1.0 if not each.any() else None, None, n)
    test = stats.ttest_rel(both[:, 0], both[:, 1])
    low, high = test.confidence_interval(CONFIDENCE)
    return Difference(mean, float(low), float(high), float(test.pvalue), None, n)


def holm(p_values: Sequence[float | None], comparisons: int = 0) -> list[float | None]:
    """p-values corrected for their number: p̃₍ᵢ₎ = max over j ≤ i of min(1, (m - j + 1) · p₍ⱼ₎).

    p₍₁₎ ≤ … ≤ p₍ₘ₎ are sorted. Whoever calls a difference real where p̃ < 0.05 is wrong about any
    of them in at most 5 of 100 studies.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Args:
        p_values: one per comparison; none where it is not known.
        comparisons: how many were made, m; those that have a p-value are the least.
    """
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    m, largest = max(comparisons, len(known)), 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (m - rank) * p))
        corrected[index] = largest
    return corrected


def share_interval(count: int, n: int) -> Share:
    """A share and the exact interval of the chance behind it.

    Its ends are the chances under which so many, or so few, come in 2.5 of 100 cases: 3 of 3 has
    29 % to 100 %. It is never too narrow. Nothing of nothing has 0 to 1: all is possible.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits" (1934).
    """
    if not n:
        return Share(0, 0, 0.0, 1.0)
    interval = stats.binomtest(count, n).proportion_ci(CONFIDENCE, method="exact")
    return Share(count, n, float(interval.low), float(interval.high))


def rank_correlation(first: Sequence[float | None], second: Sequence[float | None]) -> Correlation:
    """Spearman's ρ: Pearson's correlation of ranks, where ties share their mean rank.

    1: the two order everything alike; 0: one says nothing of the other's order. Pairs of which one
    is not measured are left out. Fewer than three pairs, or figures that are all alike, have no
    correlation.

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


def _figures(values: Iterable[float | None]) -> list[float]:
    return [float(value) for value in values if value is not None and math.isfinite(value)]


def _alike(values: Sequence[float] | np.ndarray, magnitude: float) -> bool:
    """Whether what differs is rounding."""
    return bool(np.ptp(values) <= 1e-12 * magnitude)
