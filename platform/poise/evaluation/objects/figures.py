"""Metrics over images, with their 95 % confidence intervals.

In: one value per image. Out: ``Figure``s. Next: the reports on objects and masks.
"""

import math

import numpy as np
from numpy.typing import NDArray

from poise.evaluation.bootstrap import NORMAL_QUANTILE
from poise.evaluation.measurement import accuracy
from poise.evaluation.report import Figure


def share_figure(name: str, hits: NDArray[np.bool_]) -> Figure:
    """Computes the share of hits in n images in percent, with the Wilson interval."""
    found = accuracy(int(hits.sum()), len(hits))
    return Figure(name, found.percent, "%", found.low, found.high)


def mean_figure(name: str, shares: NDArray[np.float64]) -> Figure:
    """Computes the mean of n shares (0 to 1) in percent, with the normal interval over images.

    A single image has no interval.
    """
    mean = 100 * float(shares.mean())
    if len(shares) < 2:
        return Figure(name, mean)
    half = 100 * NORMAL_QUANTILE * float(shares.std(ddof=1)) / math.sqrt(len(shares))
    return Figure(name, mean, "%", max(0.0, mean - half), min(100.0, mean + half))
