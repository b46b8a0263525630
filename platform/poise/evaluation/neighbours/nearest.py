"""Finds the nearest other images of each image in a set.

In: features. Out: row numbers and cosine similarities. Next:
``poise.evaluation.embedding_map.embed``.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

_BLOCK_ELEMENTS = 2**24  # similarities in memory at once: 64 MiB


class Nearest(NamedTuple):
    """The k nearest other images of each of n images, the most similar first."""

    rows: Tensor
    """Row numbers of the nearest images, int64 [n, k]."""

    similarities: Tensor
    """Cosine similarities of the nearest images, float32 [n, k]."""


def find_nearest(features: Tensor, count: int) -> Nearest:
    """Finds the nearest other images by cosine, in blocks, so that memory is limited.

    Args:
        features: features [n, D] with n at least 2. They need not be normalised.
        count: number k of images to find. At most n − 1 are found.
    """
    bank = normalize(features.float(), dim=1)
    found = []
    for rows in torch.arange(len(bank)).split(max(1, _BLOCK_ELEMENTS // len(bank))):
        cosines = bank[rows] @ bank.T
        cosines[torch.arange(len(rows)), rows] = -torch.inf
        best = cosines.topk(min(count, len(bank) - 1), dim=1)
        found.append((best.indices.cpu(), best.values.cpu()))
    return Nearest(*map(torch.cat, zip(*found, strict=True)))
