"""Differences between two settings, their p-values, and the correction of many p-values.

In: values of a setting and of the baseline, one per seed. Out: a ``Difference``, and p-values
corrected by Holm's method. Next: ``poise.studies.findings.comparison``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from poise.studies.analysis.intervals import CONFIDENCE, are_equal, is_figure


@dataclass(frozen=True)
class Difference:
    """Setting minus baseline, seed by seed."""

    value: float | None
    """Mean of the differences; None if the two have no seed in common."""

    low: float | None
    high: float | None
    p: float | None
    """Two-sided p-value of no difference; None if it is unknown."""

    p_holm: float | None
    """p-value, corrected for all comparisons of the study."""

    n: int
    """Number of seeds that both have."""


def paired_difference(
    values: Mapping[int, float | None], baseline: Mapping[int, float | None]
) -> Difference:
    """Computes setting minus baseline over their common seeds: mean, interval and paired t-test.

    t = d̄ / (s_d / √n) with n - 1 degrees of freedom. Trials of one seed see the same images and
    crops. So the effect of a seed on both cancels out, and a paired test needs fewer seeds than an
    unpaired test. A seed that only one of the two has is left out.

    With one common seed there is a difference, but no interval and no p-value. Equal differences
    have an interval of width 0. If all of them are 0, p is 1. Otherwise t is infinite and p is
    None, because a few seeds cannot support such a claim.

    Args:
        values: value of each seed.
        baseline: baseline's value of each seed.
    """
    pairs = [(values[seed], baseline.get(seed)) for seed in values]
    both = np.array([pair for pair in pairs if all(map(is_figure, pair))], float).reshape(-1, 2)
    each, n = both[:, 0] - both[:, 1], len(both)
    if n < 2:
        return Difference(float(each[0]) if n else None, None, None, None, None, n)
    mean = float(each.mean())
    if are_equal(each, np.abs(both).max()):
        return Difference(mean, mean, mean, 1.0 if not each.any() else None, None, n)
    test = stats.ttest_rel(both[:, 0], both[:, 1])
    low, high = test.confidence_interval(CONFIDENCE)
    return Difference(mean, float(low), float(high), float(test.pvalue), None, n)


def holm(p_values: Sequence[float | None], comparisons: int = 0) -> list[float | None]:
    """Corrects p-values for their number: p̃₍ᵢ₎ = max over j ≤ i of min(1, (m - j + 1) · p₍ⱼ₎).

    p₍₁₎ ≤ … ≤ p₍ₘ₎ are sorted. If every difference with p̃ < 0.05 is called real, at most 5 of 100
    studies contain a false claim.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Args:
        p_values: one per comparison; None if it is unknown.
        comparisons: number of comparisons m; at least the number of known p-values.
    """
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    m, largest = max(comparisons, len(known)), 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (m - rank) * p))
        corrected[index] = largest
    return corrected
