"""Pools an image's tokens to one feature.

In: tokens and attention. Out: features. Next: ``poise.models.readout``.
"""

from typing import Final

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.models.backbone import has_class_token

EPSILON = 1e-6
"""Number added to divisors and logarithms, as in the published statistics (arXiv 2412.03215)."""


POOLINGS: Final = (
    *("cls", "mean", "cls_mean"),
    *("cp1", "cp2", "cp3", "cp4"),
    *("attn_lcte", "attn_mn"),
)
"""Names that ``pool`` accepts, from the ablation in arXiv 2412.03215:

- ``cls``: token 0.
- ``mean``: the mean of all patches.
- ``cls_mean``: token 0 and the mean of all patches, concatenated.
- ``cp1`` … ``cp4``: the mean of the k × k patches in the centre.
- ``attn_mn``: the mean of the patches, weighted by the attention of [cls] (mean over heads).
- ``attn_lcte``: the mean of the patches, weighted by the attention of one head. For each image,
  this is the head with the lowest entropy of attention over patches.
"""


_WITHOUT_CLASS_TOKEN = ("mean", "cp1", "cp2", "cp3", "cp4")


def check_pooling(backbone: nn.Module, name: str) -> None:
    """Raises an error if a backbone cannot use a pooling.

    Raises:
        PoiseError: the pooling does not exist, or needs a [cls] token that the backbone does not
            have.
    """
    if name not in POOLINGS:
        raise PoiseError(f"features={name}: no such pooling; choose from {', '.join(POOLINGS)}")
    if name not in _WITHOUT_CLASS_TOKEN and not has_class_token(backbone):
        raise PoiseError(
            f"features={name}: needs a [cls] token and the model has none; "
            f"choose from {', '.join(_WITHOUT_CLASS_TOKEN)}"
        )


def pool(
    tokens: Tensor,
    attention: Tensor | None,
    num_prefix_tokens: int,
    grid: tuple[int, int],
    name: str,
) -> Tensor:
    """Pools the tokens of a block to one feature per image (arXiv 2412.03215, aggregation).

    ``POOLINGS`` explains the names. Registers are never used.

    The central square of ``cp1`` … ``cp4`` is as published. In a grid of side g, the square begins
    at g // 2 − ⌈k / 2⌉ and ends before g // 2 + ⌊k / 2⌋, in both directions. It is always inside
    the grid. It is exactly in the middle only if g and k are even. Otherwise it is shifted to the
    top left.

    Args:
        tokens: [B, T, D]; as published, the last block's output without the last norm.
        attention: attention of the same block, [B, heads, T, T]. Only ``attn_mn`` and ``attn_lcte``
            need it.
        num_prefix_tokens: number of tokens before the patches. [cls] is the first.
        grid: rows and columns of patches.
        name: one of ``POOLINGS``; for a backbone without [cls] see ``check_pooling``.

    Returns:
        [B, D], or [B, 2·D] for ``cls_mean``.

    Raises:
        ValueError: the pooling does not exist, attention is missing, or sizes do not match.
    """
    patches = tokens[:, num_prefix_tokens:]
    if patches.shape[1] != grid[0] * grid[1]:
        raise ValueError(f"{patches.shape[1]} patch tokens do not fill a grid of {grid}")
    if name == "cls":
        return tokens[:, 0]
    if name == "mean":
        return patches.mean(dim=1)
    if name == "cls_mean":
        return torch.cat([tokens[:, 0], patches.mean(dim=1)], dim=1)
    if name in ("cp1", "cp2", "cp3", "cp4"):
        return _central(patches.unflatten(1, grid), int(name[2:]))
    if name not in POOLINGS:
        raise ValueError(f"no pooling is called {name}; there are {', '.join(POOLINGS)}")
    if attention is None:
        raise ValueError(f"{name} needs the block's attention")
    from_cls = attention[:, :, 0, num_prefix_tokens:]  # [B, heads, N]
    row = _lowest_entropy_head(from_cls) if name == "attn_lcte" else from_cls.mean(dim=1)
    weights = row / (row.sum(dim=-1, keepdim=True) + EPSILON)
    return (weights.to(patches.dtype).unsqueeze(1) @ patches).squeeze(1)


def patch_entropy(to_patches: Tensor) -> Tensor:
    """Computes the entropy of attention over N patches, in nats.

    The entropy is 0 if all attention is on one patch, and about ln N if all patches get equal
    attention. Attention to other tokens does not count: the attention to each patch is divided by
    the attention to all patches.

    Args:
        to_patches: attention to patches, [..., N].

    Returns:
        Entropies [...].
    """
    shares = to_patches / (to_patches.sum(dim=-1, keepdim=True) + EPSILON)
    return -(shares * (shares + EPSILON).log()).sum(dim=-1)


def _central(patches: Tensor, k: int) -> Tensor:
    """Computes the mean of the central k × k patches of a grid [B, rows, columns, D]."""
    rows, columns = patches.shape[1:3]
    if k > min(rows, columns):
        raise ValueError(f"a grid of {rows} × {columns} patches has no central {k} × {k}")
    top, left = (max(side // 2 - (k + 1) // 2, 0) for side in (rows, columns))
    return patches[:, top : top + k, left : left + k].mean(dim=(1, 2))


def _lowest_entropy_head(from_cls: Tensor) -> Tensor:
    """Returns the attention [B, N] of one head for each image: the head with the lowest entropy.

    Args:
        from_cls: attention of [cls] to patches, [B, heads, N].
    """
    chosen = patch_entropy(from_cls).argmin(dim=1)
    return from_cls[torch.arange(len(from_cls), device=from_cls.device), chosen]
