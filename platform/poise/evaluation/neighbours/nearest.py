"""Nearest images of each image in one set.

In: features. Out: rows and cosines. Next: ``poise.evaluation.embedding.embed``.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

_BLOCK_ELEMENTS = 2**24  # similarities held at once: 64 MiB


class Nearest(NamedTuple):
    """K nearest other images of n images, most similar first."""

    rows: Tensor
    """int64 [n, k]."""

    similarities: Tensor
    """Cosines: float32 [n, k]."""


def find_nearest(features: Tensor, count: int) -> Nearest:
    """Finds the nearest other images by cosine, in blocks, so that memory is bounded.

    Args:
        features: [n, D], of any length per row; n is at least 2.
        count: k; at most n − 1 are found.
    """
    bank = normalize(features.float(), dim=1)
    found = []
    for rows in torch.arange(len(bank)).split(max(1, _BLOCK_ELEMENTS // len(bank))):
        cosines = bank[rows] @ bank.T
        cosines[torch.arange(len(rows)), rows] = -torch.inf
        best = cosines.topk(min(count, len(bank) - 1), dim=1)
        found.append((best.indices.cpu(), best.values.cpu()))
    return Nearest(*map(torch.cat, zip(*found, strict=True)))
