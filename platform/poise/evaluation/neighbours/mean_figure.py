"""Mean over queries, for a report.

In: one share for each query. Out: a ``Figure`` in percent. Next: reports on retrieval and copies.
"""

import numpy as np
from numpy.typing import NDArray

from poise.evaluation.bootstrap import mean_interval
from poise.evaluation.report import Figure


def mean_figure(name: str, shares: NDArray[np.float64]) -> Figure:
    """Makes the figure of a mean of shares [n] over queries, in percent.

    Its interval is a bootstrap over queries, which are taken as independent.
    """
    low, high = mean_interval(100 * shares) or (None, None)
    return Figure(name, float(100 * shares.mean()), low=low, high=high)
