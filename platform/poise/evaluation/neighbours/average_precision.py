"""Average precision of rankings, as the benchmarks of image retrieval compute it.

In: places of relevant images in a ranking. Out: average precision per query, and means. Next:
``poise.evaluation.neighbours.retrieval`` and ``poise.evaluation.neighbours.copy_detection``.

Revisited Oxford and Paris (arXiv 1803.11285) take the area under the curve of precision over recall
by trapezoids. A junk image is taken out of the ranking before places are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CUTOFFS = (1, 5, 10)
"""Numbers of first images whose precision the benchmark states."""

Places = NDArray[np.int64]
"""Places of relevant images in a ranking, ascending from 0, junk not counted."""


@dataclass(frozen=True)
class RankingScores:
    """Scores of q queries, from 0 (worst) to 1.

    A random ranking reaches the share of relevant images. Healthy: far above this share. Broken:
    equal to it.
    """

    average_precision: NDArray[np.float64]
    """Area under precision over recall of each query: [q]. NaN if nothing is relevant."""

    precision: NDArray[np.float64]
    """Share of relevant images among the first 1, 5 and 10 of each query: [q, 3]. NaN as above.
    As published, a query whose last relevant image is found earlier stops there."""

    @property
    def map(self) -> float:
        """Mean average precision over queries that have a relevant image; NaN without one."""
        return _mean(self.average_precision)

    @property
    def mean_precision(self) -> tuple[float, ...]:
        """Mean precision at 1, 5 and 10 over the same queries."""
        return tuple(_mean(column) for column in self.precision.T)


def average_precision(places: ArrayLike, num_relevant: int) -> float:
    """Computes the area under one ranking's precision over recall, by trapezoids.

    Args:
        places: ``Places`` of the relevant images that were found.
        num_relevant: number of relevant images, found or not; at least 1.

    Returns:
        0 (nothing was found) to 1 (relevant images come first).
    """
    ranks = np.asarray(places, dtype=np.float64)
    found = np.arange(len(ranks), dtype=np.float64)
    before = np.where(ranks == 0, 1.0, found / np.maximum(ranks, 1))
    after = (found + 1) / (ranks + 1)
    return float((before + after).sum() / (2 * num_relevant))


def score_rankings(
    ranks: NDArray[np.int64], relevant: Sequence[ArrayLike], junk: Sequence[ArrayLike]
) -> RankingScores:
    """Scores rankings of a database, as revisited Oxford and Paris do.

    Args:
        ranks: numbers of database images, most similar first, a column for each query: [m, q].
        relevant: numbers of the relevant images of each query.
        junk: numbers of the images that do not count, of each query.
    """
    scores = [_score(ranks[:, query], relevant[query], junk[query]) for query in range(len(junk))]
    return RankingScores(
        np.array([precision for precision, _ in scores], dtype=np.float64),
        np.array([at for _, at in scores], dtype=np.float64).reshape(len(scores), len(CUTOFFS)),
    )


def places_of(ranking: NDArray[np.int64], relevant: ArrayLike, junk: ArrayLike) -> Places:
    """Finds the places of relevant images in a ranking [m] without its junk images."""
    kept = ranking[~np.isin(ranking, junk)]
    return np.flatnonzero(np.isin(kept, relevant))


def _score(
    ranking: NDArray[np.int64], relevant: ArrayLike, junk: ArrayLike
) -> tuple[float, list[float]]:
    num_relevant = len(np.asarray(relevant))
    places = places_of(ranking, relevant, junk)
    if not len(places):
        missed = 0.0 if num_relevant else np.nan
        return missed, [missed] * len(CUTOFFS)
    seen = [min(int(places[-1]) + 1, cutoff) for cutoff in CUTOFFS]
    precision = [float((places < count).sum()) / count for count in seen]
    return average_precision(places, num_relevant), precision


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
