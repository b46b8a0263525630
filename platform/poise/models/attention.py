"""What happens inside a transformer, block by block, and features pooled from its tokens.

In: a transformer and images. Out: one ``BlockTrace`` at a time, so that memory holds one
block's attention, and features [B, D]. Next: ``poise.evaluation.attention`` and the probes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.models.backbone import VitBackbone, has_class_token
from poise.models.relative import RelativeBackbone

EPSILON = 1e-6
"""Guards divisions and logarithms, as in the published statistics (arXiv 2412.03215)."""

POOLINGS: Final = (
    *("cls", "mean", "cls_mean"),
    *("cp1", "cp2", "cp3", "cp4"),
    *("attn_lcte", "attn_mn"),
)
"""Names that ``pool`` takes; the fields of arXiv 2412.03215's ablation."""

_WITHOUT_CLASS_TOKEN = ("mean", "cp1", "cp2", "cp3", "cp4")


class UntraceableError(PoiseError):
    """A backbone has no attention that could be shown."""


@dataclass(frozen=True)
class BlockTrace:
    """One block at work on B images of T = prefix + N tokens."""

    index: int
    """From 0."""

    inputs: Tensor
    """The residual stream before the block's first norm: [B, T, D]."""

    attention: Tensor
    """After softmax, float32: [B, heads, T, T]; a row says where its token looks, and sums to 1."""

    branch: Tensor
    """What attention adds, after its projection, before LayerScale and the sum: [B, T, D]."""

    outputs: Tensor
    """The residual stream after the block, without a norm: [B, T, D]."""


@torch.no_grad()
def trace(backbone: nn.Module, images: Tensor, first: int = 0) -> Iterator[BlockTrace]:
    """Runs images through a backbone and shows each block at work.

    Attention is computed outright in the blocks that are shown, whatever kernel the backbone
    uses otherwise. Nothing is kept: a trace that is let go frees its memory.

    Args:
        backbone: a transformer of ``poise.models.backbone``, in evaluation mode.
        images: normalised [B, 3, h, w].
        first: index of the first block to show; −1 shows the last alone.

    Raises:
        UntraceableError: the backbone has no blocks with attention, or its attention is of a kind
            that is not one softmax per head.
    """
    x, blocks = _prepared(backbone, images)
    for index, (block, arguments) in enumerate(blocks):
        if index < first % len(blocks):
            x = block(x, **arguments)
            continue
        traced = _run(index, block, x, arguments)
        x = traced.outputs
        yield traced
        del traced  # else two blocks' attention would be alive at once


def num_blocks(backbone: nn.Module) -> int:
    """How many blocks a trace shows.

    Raises:
        UntraceableError: the backbone has none.
    """
    if not isinstance(backbone, VitBackbone | RelativeBackbone):
        raise UntraceableError(f"{type(backbone).__name__}: has no transformer blocks to look into")
    return len(backbone.timm_model.blocks)


def check_pooling(backbone: nn.Module, name: str) -> None:
    """Refuses a pooling that a backbone cannot serve.

    Raises:
        PoiseError: there is no such pooling, or it needs a [cls] token and there is none.
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
    """One feature per image from a block's tokens (arXiv 2412.03215, section on aggregation).

    ``cls``: token 0. ``mean``: the mean patch. ``cls_mean``: both, side by side. ``cp1`` … ``cp4``:
    the mean of the central k × k patches. ``attn_mn``: patches weighted by how much [cls] looks at
    them, mean over heads. ``attn_lcte``: the same by the one head, chosen per image, whose [cls]
    attention over patches has the lowest entropy. Registers never take part.

    As published, the central square of a grid of g is that from g // 2 − ⌈k / 2⌉ to before
    g // 2 + ⌊k / 2⌋, down and across: where k and g differ in parity, and of an odd k in an odd
    grid too, it lies to the top left of the middle, but always inside.

    Args:
        tokens: [B, T, D]; as published, the last block's output without the last norm.
        attention: that block's [B, heads, T, T]; only the ``attn_*`` need it.
        num_prefix_tokens: tokens before the patches, [cls] first.
        grid: rows and columns of patches.
        name: one of ``POOLINGS``; see ``check_pooling`` for a backbone without [cls].

    Returns:
        [B, D], or [B, 2·D] for ``cls_mean``.

    Raises:
        ValueError: there is no such pooling, attention is missing, or sizes disagree.
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
    """Entropy in nats of attention over patches alone, renormalised: [..., N] to [...].

    0: all on one patch. ln N (less N·1e-6): the same on each. Attention that a token gives to
    [cls], registers or padding does not count, only how the rest is spread.
    """
    shares = to_patches / (to_patches.sum(dim=-1, keepdim=True) + EPSILON)
    return -(shares * (shares + EPSILON).log()).sum(dim=-1)


def _prepared(
    backbone: nn.Module, images: Tensor
) -> tuple[Tensor, list[tuple[nn.Module, dict[str, Tensor]]]]:
    """Tokens before the first block, and every block with what it is told beside tokens."""
    depth = num_blocks(backbone)
    vit: Any = backbone
    x, arguments = (
        vit.embed(images)
        if isinstance(backbone, RelativeBackbone)
        else (vit._embed(images), [{}] * depth)
    )
    return x, list(zip(vit.timm_model.blocks, arguments, strict=True))


def _run(index: int, block: nn.Module, x: Tensor, arguments: dict[str, Tensor]) -> BlockTrace:
    """Runs a block while its attention and what that adds are taken down."""
    attn: Any = getattr(block, "attn", None)
    dropout: Any = getattr(attn, "attn_drop", None)
    if not isinstance(dropout, nn.Module) or not hasattr(attn, "fused_attn"):
        raise _untraceable(block)
    seen: list[Tensor] = []
    added: list[Tensor] = []
    hooks = (
        # What softmax gives passes through the dropout of attention, in every family of timm.
        dropout.register_forward_pre_hook(lambda _, given: seen.append(given[0])),
        attn.register_forward_hook(lambda _, given, output: added.append(output)),
    )
    fused, attn.fused_attn = attn.fused_attn, False
    try:
        outputs = block(x, **arguments)
    finally:
        attn.fused_attn = fused
        for hook in hooks:
            hook.remove()
    batch_size, num_tokens = x.shape[:2]
    shape = (batch_size, attn.num_heads, num_tokens, num_tokens)
    if [attention.shape for attention in seen] != [shape] or len(added) != 1:
        raise _untraceable(block)
    return BlockTrace(index, x, seen[0].float(), added[0], outputs)


def _untraceable(block: nn.Module) -> UntraceableError:
    attn = getattr(block, "attn", block)
    return UntraceableError(f"{type(attn).__name__}: its attention is not one softmax per head")


def _central(patches: Tensor, k: int) -> Tensor:
    """Mean of the central k × k of patches [B, rows, columns, D]."""
    rows, columns = patches.shape[1:3]
    if k > min(rows, columns):
        raise ValueError(f"a grid of {rows} × {columns} patches has no central {k} × {k}")
    top, left = (max(side // 2 - (k + 1) // 2, 0) for side in (rows, columns))
    return patches[:, top : top + k, left : left + k].mean(dim=(1, 2))


def _lowest_entropy_head(from_cls: Tensor) -> Tensor:
    """Of [B, heads, N], each image's most selective head: [B, N]."""
    chosen = patch_entropy(from_cls).argmin(dim=1)
    return from_cls[torch.arange(len(from_cls), device=from_cls.device), chosen]
