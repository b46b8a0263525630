"""Shares of correct answers, and how sure they are.

In: counts. Out: ``Accuracy``. Next: the reports of probes.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """A share of correct answers in percent, with its 95 % interval (Wilson)."""

    percent: float
    low: float
    high: float


def accuracy(hits: int, trials: int) -> Accuracy:
    """Of ``hits`` correct answers in ``trials``, which is at least 1."""
    low, high = wilson_interval(hits, trials)
    return Accuracy(100.0 * hits / trials, 100 * low, 100 * high)


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a proportion that holds near 0 and 1 too (E. B. Wilson, 1927); z for 95 %."""
    share, shrink = successes / trials, 1 + z**2 / trials
    middle = (share + z**2 / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return max(0.0, middle - half), min(1.0, middle + half)
