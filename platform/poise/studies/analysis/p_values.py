"""Differences between two settings, their p-values, and Holm's correction of several p-values.

In: values of a setting and of the baseline, one per seed. Out: a ``Difference``, and corrected
p-values. Next: ``poise.studies.findings.comparison``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from poise.studies.analysis.intervals import CONFIDENCE, are_equal, is_figure


@dataclass(frozen=True)
class Difference:
    """Mean difference between a setting and the baseline, over trials with the same seed."""

    value: float | None
    """Mean of setting minus baseline. It is None if setting and baseline have no seed in common."""

    low: float | None
    high: float | None
    p: float | None
    """Two-sided p-value of the hypothesis that there is no difference. It is None if it is unknown.
    """

    p_holm: float | None
    """p-value after Holm's correction for all comparisons of the study."""

    n: int
    """Number of seeds that the setting and the baseline have in common."""


def paired_difference(
    values: Mapping[int, float | None], baseline: Mapping[int, float | None]
) -> Difference:
    """Computes setting minus baseline for each common seed: mean, interval and paired t-test.

    t = d̄ / (s_d / √n) with n - 1 degrees of freedom, where d are the differences. Trials with the
    same seed see the same images and crops. A difference removes this shared effect of the seed. So
    a paired test needs fewer seeds than an unpaired test. A seed that only the setting or only the
    baseline has is left out.

    With one common seed, there is a difference, but no interval and no p-value. Equal differences
    have an interval of width 0. If all differences are 0, p is 1. If all differences are equal but
    not 0, t is infinite. Then p is None, because a few seeds cannot prove so much.

    Args:
        values: value of the setting for each seed.
        baseline: value of the baseline for each seed.
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

    Here p₍₁₎ ≤ … ≤ p₍ₘ₎ are the sorted p-values. If every difference with p̃ < 0.05 is called real,
    at most 5 of 100 studies contain a false claim.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Args:
        p_values: one p-value per comparison. It is None if it is unknown.
        comparisons: number of comparisons m, at least the number of known p-values.
    """
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    m, largest = max(comparisons, len(known)), 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (m - rank) * p))
        corrected[index] = largest
    return corrected
