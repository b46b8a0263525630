"""Confidence intervals of metrics over images or queries, by the bootstrap or the jackknife.

In: one value for each image or query, or a function that computes a metric from row numbers. Out:
the ends of a 95 % interval. Next: the ``Figure``s of a report.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from poise.evaluation.resampling import NUM_RESAMPLES, middle_95

Statistic = Callable[[NDArray[np.int64]], float]
"""Function that computes a metric of a resample from the numbers of the drawn rows. A row may be
drawn several times.
"""

_AT_ONCE = 50  # resamples in memory at once

NORMAL_QUANTILE = 1.959964
"""Quantile of the normal distribution for an interval of 95 %."""


def mean_interval(values: ArrayLike, seed: int = 0) -> tuple[float, float] | None:
    """Computes the 95 % percentile interval of a mean by the bootstrap (B. Efron, 1979).

    Args:
        values: one value for each image or query, [n]. The values are assumed to be independent.
        seed: seed of the resamples.

    Returns:
        Both ends in the unit of the values, or None for fewer than two values.
    """
    given = np.asarray(values, dtype=np.float64)
    if len(given) < 2:
        return None
    found = bootstrap(
        (given,),
        np.mean,
        n_resamples=NUM_RESAMPLES,
        batch=_AT_ONCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def resampled_interval(
    groups: Sequence[NDArray[np.int64]], statistic: Statistic, num_resamples: int, seed: int = 0
) -> tuple[float, float]:
    """Computes the 95 % percentile interval of any metric, with rows resampled within each group.

    Args:
        groups: row numbers of each group, such as the images of each class.
        statistic: function that computes the metric from row numbers.
        num_resamples: number of resamples. The metric is computed once for each.
        seed: seed of the resamples.

    Returns:
        Both ends in the unit of the metric.
    """
    draws = np.random.default_rng(seed)
    found = [
        statistic(np.concatenate([draws.choice(rows, len(rows)) for rows in groups]))
        for _ in range(num_resamples)
    ]
    return middle_95(np.array(found))


def jackknife_interval(
    groups: Sequence[NDArray[np.int64]], statistic: Statistic, num_blocks: int = 20
) -> tuple[float, float]:
    """Computes the 95 % interval of any metric by the jackknife: it leaves out each block once.

    The jackknife suits metrics with a bias from noise, such as distances of means. A bootstrap
    draws some rows several times, which makes means noisier (M. H. Quenouille, 1956; J. W. Tukey,
    1958).

    Args:
        groups: row numbers of each group, such as the images of each class. Each block contains a
            part of each group. A group of one row is never left out.
        statistic: function that computes the metric from row numbers, which are ordered by group.
        num_blocks: number of blocks, at least 2.

    Returns:
        Both ends in the unit of the metric.
    """
    draws = np.random.default_rng(0)
    blocks = [draws.permutation(len(rows)) % num_blocks for rows in groups]
    found = np.array(
        [
            statistic(
                np.concatenate(
                    [
                        rows[own != left_out] if len(rows) > 1 else rows
                        for rows, own in zip(groups, blocks, strict=True)
                    ]
                )
            )
            for left_out in range(num_blocks)
        ]
    )
    middle = statistic(np.concatenate(groups))
    error = float(np.sqrt((num_blocks - 1) * found.var()))
    return middle - NORMAL_QUANTILE * error, middle + NORMAL_QUANTILE * error
