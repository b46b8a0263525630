"""Bootstrap intervals of metrics that are computed from sums over independent units.

In: a row of numbers for each unit, such as an image or a video sequence. Out: the sums of many
resamples, and intervals. Next: ``poise.evaluation.video.scores`` and
``poise.evaluation.segmentation.scores``.

A mean over objects or an intersection over union is a function of such sums. So a resample only
adds up the rows of its units, and memory contains one row per unit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 1000
"""Number of resamples of a bootstrap. With this number, the ends of an interval differ between
seeds by a few percent of its width."""

_DRAWS_AT_ONCE = 2**20


def resampled_sums(
    rows: NDArray[Any], num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Draws resamples of the units with replacement, and adds up the rows of each resample.

    A resample has as many units as there are rows. Source: the nonparametric bootstrap (B. Efron,
    1979). The same seed gives the same result.

    Args:
        rows: one row of m numbers per unit, [n, m], with n at least 1.
        num_resamples: number of resamples R.
        seed: seed of the draws.

    Returns:
        Sums float64 [R, m].
    """
    generator = np.random.default_rng(seed)
    num_units = len(rows)
    values = rows.astype(np.float64)
    at_once = max(1, _DRAWS_AT_ONCE // num_units)
    sums = np.empty((num_resamples, values.shape[1]))
    for start in range(0, num_resamples, at_once):
        size = min(at_once, num_resamples - start)
        drawn = generator.integers(num_units, size=(size, num_units))
        drawn += num_units * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * num_units)
        sums[start : start + size] = counts.reshape(size, num_units) @ values
    return sums


def middle_95(resampled: NDArray[np.float64]) -> tuple[float, float]:
    """Computes the percentile interval of a resampled metric [R]: its 2.5 % and 97.5 % quantiles.

    Resamples whose metric is NaN are left out.
    """
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return float(low), float(high)
