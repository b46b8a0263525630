"""Computes a mean over queries, for a report.

In: one share for each query. Out: a ``Figure`` in percent. Next: reports on retrieval and copies.
"""

import numpy as np
from numpy.typing import NDArray

from poise.evaluation.bootstrap import mean_interval
from poise.evaluation.report import Figure


def mean_figure(name: str, shares: NDArray[np.float64]) -> Figure:
    """Computes the mean of shares [n] over queries, in percent.

    The mean gets a bootstrap interval over queries, which are assumed to be independent.
    """
    low, high = mean_interval(100 * shares) or (None, None)
    return Figure(name, float(100 * shares.mean()), low=low, high=high)
