"""Records attention and tokens of a transformer, block by block.

In: a transformer and images. Out: an iterator over ``BlockTrace``, with only one block's attention
in memory at a time. Next: ``poise.evaluation.tokens.attention`` and the probes.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.models.backbone import VitBackbone
from poise.models.relative import RelativeBackbone

TRACING = threading.Lock()
"""Lock for tracing, because tracing temporarily changes modules that other threads may use."""


class UntraceableError(PoiseError):
    """Error: the attention of this backbone cannot be recorded."""


@dataclass(frozen=True)
class BlockTrace:
    """Inputs, attention and outputs of one block for B images of T = prefix + N tokens."""

    index: int
    """Index of the block, from 0."""

    inputs: Tensor
    """Residual stream before the block's first norm: [B, T, D]."""

    attention: Tensor
    """Attention after softmax, float32: [B, heads, T, T]. The row of a token sums to 1."""

    branch: Tensor
    """Output of attention after its projection, before LayerScale and the sum: [B, T, D]."""

    outputs: Tensor
    """Residual stream after the block, without a norm: [B, T, D]."""


@torch.no_grad()
def trace(backbone: nn.Module, images: Tensor, first: int = 0) -> Iterator[BlockTrace]:
    """Passes images through a backbone and yields a trace of each block.

    Traced blocks compute attention with plain matrix products, because fused kernels do not return
    attention. When a trace is deleted, its memory is freed.

    Args:
        backbone: transformer of ``poise.models.backbone``, in evaluation mode.
        images: normalised [B, 3, h, w].
        first: index of the first block to trace; −1 traces only the last block.

    Raises:
        UntraceableError: the backbone has no blocks with attention, or its attention is of an
            unknown kind (not one softmax per head).
    """
    x, blocks = prepare_blocks(backbone, images)
    for index, (block, arguments) in enumerate(blocks):
        if index < first % len(blocks):
            x = block(x, **arguments)
            continue
        traced = run_block(index, block, x, arguments)
        x = traced.outputs
        yield traced
        del traced  # otherwise the attention of two blocks would be in memory at once


def num_blocks(backbone: nn.Module) -> int:
    """Counts the blocks of a backbone.

    Raises:
        UntraceableError: the backbone has no blocks.
    """
    if not isinstance(backbone, VitBackbone | RelativeBackbone):
        raise UntraceableError(
            f"{type(backbone).__name__}: has no transformer blocks; use a vision transformer"
        )
    return len(backbone.timm_model.blocks)


def prepare_blocks(
    backbone: nn.Module, images: Tensor
) -> tuple[Tensor, list[tuple[nn.Module, dict[str, Tensor]]]]:
    """Computes the tokens before the first block [B, T, D], and lists all blocks.

    Each block is listed with the arguments that it needs besides the tokens.

    Raises:
        UntraceableError: the backbone has no blocks.
    """
    depth = num_blocks(backbone)
    vit: Any = backbone
    x, arguments = (
        vit.embed(images)
        if isinstance(backbone, RelativeBackbone)
        else (vit._embed(images), [{}] * depth)
    )
    return x, list(zip(vit.timm_model.blocks, arguments, strict=True))


def run_block(index: int, block: nn.Module, x: Tensor, arguments: dict[str, Tensor]) -> BlockTrace:
    """Runs a block on tokens [B, T, D] and records its attention.

    Args:
        index: index of the block, from 0.
        block: a block of timm.
        x: input tokens of the block.
        arguments: other arguments of the block, from ``prepare_blocks``.

    Raises:
        UntraceableError: the block's attention is not one softmax per head.
    """
    attn: Any = getattr(block, "attn", None)
    dropout: Any = getattr(attn, "attn_drop", None)
    if not isinstance(dropout, nn.Module) or not hasattr(attn, "fused_attn"):
        raise _untraceable(block)
    seen: list[Tensor] = []
    added: list[Tensor] = []
    hooks = (
        # In every family of timm the attention passes through this dropout after the softmax.
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
