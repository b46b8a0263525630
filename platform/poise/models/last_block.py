"""Inputs of the last block's attention: queries, keys and values, and the attention of [cls].

In: a transformer and images. Out: a ``LastBlock``. Next: ``poise.evaluation.objects``, which finds
objects by keys or by attention.

The last block itself is never computed. LOST needs only its keys, and an attention map needs one
row of its softmax. Both together cost less than the block.
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
    """State of a transformer before its last block, for B images of T tokens.

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

        It is the output of the linear layer. Norms of queries and keys and rotary positions come
        later and are not applied. [cls] and registers are left out.
        """
        return self._projected(projection, slice(self._num_prefix, None))

    @torch.no_grad()
    def attention(self) -> Tensor:
        """Computes the attention of [cls] to the N patches, after softmax: [B, heads, N].

        Without [cls] it is the attention of the mean patch. The rest of the attention is on [cls]
        and registers. So a row sums to less than 1 if there are such tokens.

        Raises:
            UntraceableError: the block's attention is not one softmax per head.
        """
        asking = slice(0, 1) if self._has_class else slice(self._num_prefix, None)
        rows = self._rows(asking) if _is_plain(self._block) else self._traced()[:, :, asking]
        return rows[..., self._num_prefix :].mean(dim=2)

    def _projected(self, projection: Projection, tokens: slice) -> Tensor:
        attn: Any = self._block.attn
        normed, place = self._normed[:, tokens], _PLACES[projection]
        if getattr(attn, "qkv", None) is None:  # some of timm's models keep three layers
            output: Tensor = getattr(attn, f"{projection}_proj")(normed)
            return output
        weight: Tensor = attn.qkv.weight.chunk(3)[place]
        if attn.qkv.bias is not None:
            return F.linear(normed, weight, attn.qkv.bias.chunk(3)[place])
        return F.linear(normed, weight, getattr(attn, f"{projection}_bias", None))

    def _rows(self, asking: slice) -> Tensor:
        """Rows of the attention of some tokens: [B, heads, tokens, T]."""
        attn: Any = self._block.attn
        heads = (attn.num_heads, attn.head_dim)
        q = self._projected("q", asking).unflatten(2, heads).transpose(1, 2)
        k = self._projected("k", slice(None)).unflatten(2, heads).transpose(1, 2)
        scores: Tensor = (attn.q_norm(q) * attn.scale) @ attn.k_norm(k).transpose(-2, -1)
        return scores.softmax(dim=-1)

    def _traced(self) -> Tensor:
        """All rows, computed by the block itself. It is used if attention has its own positions."""
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
    """Whether attention is one softmax per head, without own positions or bias."""
    from timm.layers import Attention

    return type(block.attn) is Attention
