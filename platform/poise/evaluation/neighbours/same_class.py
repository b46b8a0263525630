"""Uses each image as a query for the other images of its class.

In: features and labels of a dataset. Out: average precision and nearest images of each query. Next:
``poise.evaluation.neighbours.retrieval``.

Queries are compared with the database in blocks, so memory never contains the whole similarity
matrix.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.evaluation.reading.inference import no_progress

_BLOCK_ELEMENTS = 2**21  # similarities ranked at once; each takes 60 bytes with its order and sums


@dataclass(frozen=True)
class ClassRetrieval:
    """Results of n queries, in the order of their images."""

    average_precision: Tensor
    """Average precision of each query, float64 [n], 0 to 1.

    It is NaN if the query's class has no other image.
    """

    first_place: Tensor
    """Place of the nearest image of the same class, from 0, int64 [n].

    The place is n if the class has no other image.
    """

    chance: Tensor
    """Share of the query's class among the other images, float64 [n].

    This is the mean precision of a random order.
    """

    nearest: Tensor
    """Row numbers of the nearest images, int64 [n, top], the most similar first."""

    similarities: Tensor
    """Cosine similarities of the nearest images, float32 [n, top]."""

    @property
    def has_answer(self) -> Tensor:
        """Whether each query has another image of its class, bool [n]."""
        return ~self.average_precision.isnan()


def retrieve_classes(
    features: Tensor, labels: Tensor, top: int = 10, on_queries: Callable[[int], None] = no_progress
) -> ClassRetrieval:
    """Ranks all other images for each image, by cosine.

    Images of equal similarity are ordered at random with a fixed seed. In the order of the dataset,
    which is often sorted by class, a collapsed backbone would seem to find its class.

    Args:
        features: features [n, D] with n at least 2. They need not be normalised.
        labels: class of each image, int64 [n].
        top: number of nearest images to keep.
        on_queries: function that is called after each block with its number of queries.
    """
    database = normalize(features.float(), dim=1)
    count, device = len(database), database.device
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).to(device)
    shuffled, labels = database[order], labels.to(device)
    own_columns = torch.empty_like(order)
    own_columns[order] = torch.arange(count, device=device)
    blocks = []
    for rows in torch.arange(count, device=device).split(max(1, _BLOCK_ELEMENTS // count)):
        cosines = database[rows] @ shuffled.T  # [b, n]
        cosines[torch.arange(len(rows), device=device), own_columns[rows]] = -torch.inf
        ranked = cosines.sort(dim=1, descending=True, stable=True)
        columns, values = ranked.indices[:, :-1], ranked.values[:, :-1]  # without the query itself
        relevant = labels[order[columns]] == labels[rows, None]
        precision, first, chance = _scores(relevant)
        kept = (order[columns[:, :top]].cpu(), values[:, :top].cpu())
        blocks.append((precision.cpu(), first.cpu(), chance.cpu(), *kept))
        on_queries(len(rows))
    return ClassRetrieval(*map(torch.cat, zip(*blocks, strict=True)))


def _scores(relevant: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Computes the scores of b queries from their rankings.

    Args:
        relevant: whether each image in a ranking has the class of the query, bool [b, n − 1].

    Returns:
        Average precision, first place and chance of each query, as in ``ClassRetrieval``, [b] each.
    """
    found = relevant.cumsum(dim=1)
    place = torch.arange(relevant.shape[1], device=relevant.device, dtype=torch.float64)
    after = found / (place + 1)
    before = torch.where(place == 0, 1.0, (found - 1) / place.clamp(min=1))
    totals = relevant.sum(dim=1)
    precision = ((before + after) * relevant).sum(dim=1) / (2 * totals)  # 0 / 0 = NaN if alone
    first = torch.where(totals > 0, relevant.int().argmax(dim=1), relevant.shape[1] + 1)
    return precision, first, totals.double() / relevant.shape[1]
