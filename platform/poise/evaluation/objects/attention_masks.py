"""Turns attention into masks of the most attended patches, like DINO (arXiv 2104.14294).

In: the attention of [cls] to patches. Out: masks. Next: ``poise.evaluation.objects.discovery`` and
``poise.evaluation.objects.overlap``.
"""

from typing import Final

import torch
from torch import Tensor

from poise.models.last_block import LastBlock

KEPT_MASS: Final = 0.6
"""Share of a head's attention that the patches of its mask receive together, as published."""


def mass_masks(attention: Tensor, kept: float = KEPT_MASS) -> Tensor:
    """Marks the most attended patches, whose attention adds up to at least the share ``kept``.

    As published, patches are added up from the smallest attention. Patches are left out as long as
    their sum is at most 1 − ``kept``.

    Args:
        attention: attention to patches, [..., N], at least 0. Its sum may differ from 1.
        kept: share of the attention to patches that the mask contains, 0 to 1.

    Returns:
        Masks bool [..., N].
    """
    values, order = attention.sort(dim=-1, stable=True)
    running = (values / values.sum(dim=-1, keepdim=True)).cumsum(dim=-1)
    masks = torch.zeros_like(attention, dtype=torch.bool)
    return masks.scatter(-1, order, running > 1 - kept)


def head_attention(last: LastBlock) -> Tensor:
    """Computes the attention of [cls] to N patches, [B, heads + 1, N].

    The first rows are the heads. The last row is the mean of all heads.
    """
    heads = last.attention()
    return torch.cat([heads, heads.mean(dim=1, keepdim=True)], dim=1)


def head_names(num_rows: int) -> list[str]:
    """Names the rows of ``head_attention``: ``head_1`` …, ``mean_head``."""
    return [*(f"head_{number}" for number in range(1, num_rows)), "mean_head"]
