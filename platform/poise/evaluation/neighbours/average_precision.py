"""Average precision of rankings, as the benchmarks of image retrieval compute it.

In: places of relevant images in a ranking. Out: average precision per query, and means. Next:
``poise.evaluation.neighbours.retrieval`` and ``poise.evaluation.neighbours.copy_detection``.

Average precision is the area under the precision-recall curve. As in revisited Oxford and Paris
(arXiv 1803.11285), the area is computed with trapezoids. Junk images, which the benchmark ignores,
are removed from a ranking before places are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CUTOFFS = (1, 5, 10)
"""Numbers k of the metric "precision at k" that the benchmark reports."""

Places = NDArray[np.int64]
"""Positions of a query's relevant images in its ranking, ascending, from 0. Images that the
benchmark ignores (junk) are removed from the ranking first.
"""


@dataclass(frozen=True)
class RankingScores:
    """Scores of q queries, from 0 (worst) to 1.

    The precision of a random ranking equals the share of relevant images. Healthy: far above this
    share. Broken: equal to it.
    """

    average_precision: NDArray[np.float64]
    """Area under the precision-recall curve of each query, [q]. It is NaN for a query without
    relevant images.
    """

    precision: NDArray[np.float64]
    """Share of relevant images among the first 1, 5 and 10 images of each query, [q, 3].

    NaN if a query has no relevant image. As in the published code, if the last relevant image has a
    smaller place than k, the images after it are not counted.
    """

    @property
    def map(self) -> float:
        """Mean average precision of the queries with a relevant image.

        NaN if there is no such query.
        """
        return _mean(self.average_precision)

    @property
    def mean_precision(self) -> tuple[float, ...]:
        """Mean precision at 1, 5 and 10 of the queries with a relevant image."""
        return tuple(_mean(column) for column in self.precision.T)


def average_precision(places: ArrayLike, num_relevant: int) -> float:
    """Computes the area under the precision-recall curve of one ranking, with trapezoids.

    Args:
        places: ``Places`` of the relevant images that were found.
        num_relevant: number of all relevant images, found or not, at least 1.

    Returns:
        0 (no relevant image was found) to 1 (all relevant images come first).
    """
    ranks = np.asarray(places, dtype=np.float64)
    found = np.arange(len(ranks), dtype=np.float64)
    before = np.where(ranks == 0, 1.0, found / np.maximum(ranks, 1))
    after = (found + 1) / (ranks + 1)
    return float((before + after).sum() / (2 * num_relevant))


def score_rankings(
    ranks: NDArray[np.int64], relevant: Sequence[ArrayLike], junk: Sequence[ArrayLike]
) -> RankingScores:
    """Scores rankings of a database like the benchmarks revisited Oxford and Paris.

    Args:
        ranks: indices of m database images for each of q queries, [m, q]. A column contains the
            ranking of one query, which begins with the most similar image.
        relevant: indices of the relevant images of each query.
        junk: indices of the ignored images of each query.
    """
    scores = [_score(ranks[:, query], relevant[query], junk[query]) for query in range(len(junk))]
    return RankingScores(
        np.array([precision for precision, _ in scores], dtype=np.float64),
        np.array([at for _, at in scores], dtype=np.float64).reshape(len(scores), len(CUTOFFS)),
    )


def places_of(ranking: NDArray[np.int64], relevant: ArrayLike, junk: ArrayLike) -> Places:
    """Finds the places of the relevant images in a ranking.

    Junk images are removed before places are counted.

    Args:
        ranking: indices of m database images, [m], the most similar first.
        relevant: indices of the relevant images.
        junk: indices of the ignored images.
    """
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
