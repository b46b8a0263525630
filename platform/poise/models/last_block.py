"""Queries, keys and values of the last block, and its attention from [cls] to the patches.

In: a transformer and images. Out: a ``LastBlock``. Next: ``poise.evaluation.objects``, which finds
objects from keys or attention.

The last block is not computed completely. The method LOST needs only the keys, and an attention map
needs one row of the softmax. Both together cost less than the block.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.models.backbone import has_class_token
from poise.models.block_traces import TRACING, UntraceableError, prepare_blocks, run_block

Projection = Literal["q", "k", "v"]
"""Query (``q``), key (``k``) or value (``v``) of a token."""

_PLACES: Final = {"q": 0, "k": 1, "v": 2}


class LastBlock:
    """Input of a transformer's last block, for B images with T tokens each.

    Tokens are in the order [cls], registers, patches (row-major).
    """

    @torch.no_grad()
    def __init__(self, backbone: nn.Module, images: Tensor) -> None:
        """Passes images through all blocks except the last.

        Args:
            backbone: a transformer of ``poise.models.backbone``, in evaluation mode.
            images: normalised [B, 3, h, w]; h and w are multiples of the patch size.

        Raises:
            UntraceableError: the backbone has no blocks, or its last block has no norm before its
                attention.
        """
        x, blocks = prepare_blocks(backbone, images)
        for block, arguments in blocks[:-1]:
            x = block(x, **arguments)
        last: Any = blocks[-1]
        self._block, self._arguments = last
        _check(self._block)
        self._inputs = x
        self._normed: Tensor = self._block.norm1(x)
        self._index = len(blocks) - 1
        self._has_class = has_class_token(backbone)
        self._num_prefix = int(getattr(backbone, "num_prefix_tokens", 0))

    @torch.no_grad()
    def patches(self, projection: Projection) -> Tensor:
        """Computes one projection of the N patches, with concatenated heads: [B, N, D].

        This is the output of the linear layer, without the norms of queries and keys and without
        rotary positions. [cls] and registers are left out.
        """
        return self._projected(projection, slice(self._num_prefix, None))

    @torch.no_grad()
    def attention(self) -> Tensor:
        """Computes the attention of [cls] to the N patches, after softmax: [B, heads, N].

        If there is no [cls], the result is the mean over the rows of all patches. Attention to
        [cls] and registers is left out. So a row sums to less than 1 if the model has these tokens.

        Raises:
            UntraceableError: the block's attention is not one softmax per head.
        """
        asking = slice(0, 1) if self._has_class else slice(self._num_prefix, None)
        rows = self._rows(asking) if _is_plain(self._block) else self._traced()[:, :, asking]
        return rows[..., self._num_prefix :].mean(dim=2)

    def _projected(self, projection: Projection, tokens: slice) -> Tensor:
        attn: Any = self._block.attn
        normed, place = self._normed[:, tokens], _PLACES[projection]
        if getattr(attn, "qkv", None) is None:  # some of timm's models have three layers
            output: Tensor = getattr(attn, f"{projection}_proj")(normed)
            return output
        weight: Tensor = attn.qkv.weight.chunk(3)[place]
        if attn.qkv.bias is not None:
            return F.linear(normed, weight, attn.qkv.bias.chunk(3)[place])
        return F.linear(normed, weight, getattr(attn, f"{projection}_bias", None))

    def _rows(self, asking: slice) -> Tensor:
        """Computes the attention from the chosen tokens to all tokens: [B, heads, tokens, T]."""
        attn: Any = self._block.attn
        heads = (attn.num_heads, attn.head_dim)
        q = self._projected("q", asking).unflatten(2, heads).transpose(1, 2)
        k = self._projected("k", slice(None)).unflatten(2, heads).transpose(1, 2)
        scores: Tensor = (attn.q_norm(q) * attn.scale) @ attn.k_norm(k).transpose(-2, -1)
        return scores.softmax(dim=-1)

    def _traced(self) -> Tensor:
        """Computes all rows of attention by running the block.

        This is necessary if the attention itself uses positions.
        """
        with TRACING:
            return run_block(self._index, self._block, self._inputs, self._arguments).attention


def _check(block: nn.Module) -> None:
    from timm.models.beit import Block as BeitBlock
    from timm.models.eva import EvaBlock
    from timm.models.vision_transformer import Block

    if not isinstance(block, Block | EvaBlock | BeitBlock):
        raise UntraceableError(
            f"{type(block).__name__}: Poise cannot read the keys of such a block; "
            "use a model with plain pre-norm blocks, such as vit_small_patch16_224"
        )


def _is_plain(block: Any) -> bool:
    """Returns True if attention is one softmax per head, without positions or bias inside."""
    from timm.layers import Attention

    return type(block.attn) is Attention
