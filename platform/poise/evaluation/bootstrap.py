"""Intervals of metrics over images or queries, by resampling or by the jackknife.

In: one value for each image or query, or a function of rows. Out: the ends of a 95 % interval.
Next: the ``Figure``s of a report.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from poise.evaluation.resampling import NUM_RESAMPLES, middle_95

Statistic = Callable[[NDArray[np.int64]], float]
"""Metric of some rows. A row may come several times."""

_AT_ONCE = 50  # resamples in memory at once
_Z = 1.959964  # quantile of the normal distribution for 95 %


def mean_interval(values: ArrayLike, seed: int = 0) -> tuple[float, float] | None:
    """Computes the 95 % percentile interval of a mean (B. Efron, 1979).

    Args:
        values: one value for each image or query, which are taken as independent: [n].
        seed: seed of the resamples.

    Returns:
        Both ends in the unit of the values; None for fewer than two values.
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
    """Computes the 95 % percentile interval of any metric; rows are resampled within each group.

    Args:
        groups: rows of each group, such as the images of each class.
        statistic: metric of some rows.
        num_resamples: number of times that it is computed.
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
    """Computes the 95 % interval of any metric by the jackknife: each block is left out once.

    It suits metrics that are biased by noise, such as distances of means. A bootstrap draws rows
    several times, which makes means noisier (M. H. Quenouille, 1956; J. W. Tukey, 1958).

    Args:
        groups: rows of each group, such as the images of each class. A block holds a part of each
            group; a group with a single row stays whole.
        statistic: metric of some rows, which come group after group.
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
    return middle - _Z * error, middle + _Z * error
