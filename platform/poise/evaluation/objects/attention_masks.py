"""Masks that keep a share of attention, as DINO shows its attention (arXiv 2104.14294).

In: the attention of [cls] to patches. Out: masks. Next: ``poise.evaluation.objects.discovery`` and
``poise.evaluation.objects.overlap``.
"""

from typing import Final

import torch
from torch import Tensor

from poise.models.last_block import LastBlock

KEPT_MASS: Final = 0.6
"""Share of attention that a mask keeps, as published."""


def mass_masks(attention: Tensor, kept: float = KEPT_MASS) -> Tensor:
    """Marks the patches that get the most attention, until their share of it is ``kept``.

    As published, patches are added up, beginning with the smallest attention. Patches are left out
    while their sum is at most 1 − ``kept``.

    Args:
        attention: attention to patches [..., N], not negative; its sum may differ from 1.
        kept: share of the attention on patches, from 0 to 1.

    Returns:
        bool [..., N].
    """
    values, order = attention.sort(dim=-1, stable=True)
    running = (values / values.sum(dim=-1, keepdim=True)).cumsum(dim=-1)
    masks = torch.zeros_like(attention, dtype=torch.bool)
    return masks.scatter(-1, order, running > 1 - kept)


def head_attention(last: LastBlock) -> Tensor:
    """Attention of [cls] to the N patches by each head, then their mean: [B, heads + 1, N]."""
    heads = last.attention()
    return torch.cat([heads, heads.mean(dim=1, keepdim=True)], dim=1)


def head_names(num_rows: int) -> list[str]:
    """Names the rows of ``head_attention``: ``head_1`` …, ``mean_head``."""
    return [*(f"head_{number}" for number in range(1, num_rows)), "mean_head"]
