"""Weighted k-nearest-neighbour classifier of DINO. It needs no training.

In: features and labels of a bank and of queries. Out: ``(name, value)`` pairs. Next: the log of a
training run, and ``poise evaluate knn``.

Protocol ``knn/dino-v1`` (arXiv 2104.14294, appendix; instance discrimination, arXiv 1805.01978):
features are L2-normalised. For each query, the k most similar bank images vote for their own
classes. A vote has the weight exp(cosine / T) with T = 0.07. The classes are ranked by the sum of
their votes. A query is correct in top-5 if its class is among the min(5, k) best. The published
script works only with certain numbers of classes and queries. This code works with any numbers. If
k is larger than the bank, the whole bank votes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.evaluation.neighbours.samples import BankAndQueries

PROTOCOL = "knn/dino-v1"

_CHUNK_ELEMENTS = 2**25  # similarities in memory at once: 128 MiB of float32


@dataclass(frozen=True)
class Neighbors:
    """Nearest bank images of each query, the most similar first."""

    similarities: Tensor  # float32 [n, k], cosine; -inf for a query's own image
    labels: Tensor  # int64 [n, k]


def knn_probe(
    samples: BankAndQueries, k: int = 20, temperature: float = 0.07
) -> Iterator[tuple[str, float]]:
    """Yields ``knn_top1`` and ``knn_top5``, the share of correct answers in percent.

    Range: 0 to 100. Chance is 100/C for C classes. With C ≤ 5, top-5 is always 100.

    Healthy: the accuracy is well above that of the untrained backbone, and it rises during
    training. The untrained backbone is itself above chance. Broken: the accuracy is below that of
    the untrained backbone, or at chance as for a collapsed backbone.

    Args:
        samples: features and labels.
        k: number of neighbours that vote.
        temperature: T in the weight of a vote.

    Raises:
        ValueError: the bank or the queries are empty, or a label is not one of the classes.
    """
    yield from accuracies(knn_hits(samples, k, temperature), k)


def knn_hits(samples: BankAndQueries, k: int = 20, temperature: float = 0.07) -> Tensor:
    """Ranks the classes for each query, and marks the rank of the true class.

    Arguments and errors are those of ``knn_probe``.

    Returns:
        bool [n, C], best rank first: whether the class with this rank is the true class.
    """
    neighbors = find_neighbors(
        samples.bank_features, samples.bank_labels, samples.query_features, k, samples.own_rows
    )
    return vote_hits(neighbors, samples.query_labels, samples.num_classes, k, temperature)


def accuracies(hits: Tensor, k: int) -> Iterator[tuple[str, float]]:
    """Yields ``knn_top1`` and ``knn_top5`` in percent, from the result of ``knn_hits``."""
    for name, best in (("knn_top1", 1), ("knn_top5", min(5, k))):
        yield name, int(hits[:, :best].sum()) * 100.0 / len(hits)


def find_neighbors(
    bank_features: Tensor,
    bank_labels: Tensor,
    query_features: Tensor,
    k: int,
    own_rows: Tensor | None = None,
) -> Neighbors:
    """Finds the k most similar bank images of each query.

    Queries are compared in chunks, so that memory is limited. Shapes are as in ``BankAndQueries``.

    Raises:
        ValueError: the bank or the queries are empty.
    """
    if not len(bank_features) or not len(query_features):
        raise ValueError("k-NN needs at least one bank image and one query")
    k = min(k, len(bank_features))
    bank = normalize(bank_features.float(), dim=1)
    bank_labels = bank_labels.to(bank.device)
    rows_per_chunk = max(1, _CHUNK_ELEMENTS // len(bank))
    similarities, labels = [], []
    for start in range(0, len(query_features), rows_per_chunk):
        queries = normalize(query_features[start : start + rows_per_chunk].float(), dim=1)
        cosines = queries @ bank.T  # [chunk, m]
        if own_rows is not None:
            _leave_out(cosines, own_rows[start : start + rows_per_chunk].to(bank.device))
        nearest = cosines.topk(k, dim=1)
        similarities.append(nearest.values)
        labels.append(bank_labels[nearest.indices])
    return Neighbors(torch.cat(similarities), torch.cat(labels))


def vote_hits(
    neighbors: Neighbors, query_labels: Tensor, num_classes: int, k: int, temperature: float = 0.07
) -> Tensor:
    """Lets the first k neighbours vote, and marks the rank of the true class of each query.

    Returns:
        bool [n, C], best rank first: whether the class with this rank is the true class.

    Raises:
        ValueError: a label is not one of the classes.
    """
    query_labels = query_labels.to(neighbors.labels.device)
    for labels in (neighbors.labels, query_labels):
        if labels.min() < 0 or labels.max() >= num_classes:
            raise ValueError(f"k-NN needs labels from 0 to {num_classes - 1}")
    weights = (neighbors.similarities[:, :k] / temperature).exp()
    scores = weights.new_zeros(len(weights), num_classes)
    scores.scatter_add_(1, neighbors.labels[:, :k], weights)
    # The sort is stable, so classes without votes have the same order on every machine.
    ranking = scores.sort(dim=1, descending=True, stable=True).indices
    return ranking == query_labels[:, None]


def _leave_out(cosines: Tensor, own_rows: Tensor) -> None:
    in_bank = (own_rows >= 0).nonzero().squeeze(1)
    cosines[in_bank, own_rows[in_bank]] = -torch.inf
