"""Transformers whose positions are used in every block: rotary or relative positions.

In: timm's Eva (rotary positions: DINOv3, EVA-02) and Beit (relative position bias: SimMIM, BEiT).
Out: backbones with the interface of ``VitBackbone``. Next: ``poise.models.backbone``.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.models.timm_models import last_norm

if TYPE_CHECKING:
    from timm.models import Beit, Eva


class RelativeBackbone(nn.Module, ABC):
    """Base class of both families of transformers.

    Tokens are in the order [cls], registers, patches (row-major). The feature of an image is the
    feature that timm pools: the normed [cls] token, or the mean patch with a norm before or after
    the mean.
    """

    def __init__(self, timm_model: "Eva | Beit"):
        super().__init__()
        self.timm_model = timm_model
        self.feature_dim: int = timm_model.embed_dim
        self.num_prefix_tokens: int = timm_model.num_prefix_tokens
        self.patch_px: int = timm_model.patch_embed.patch_size[0]

    def forward(self, images: Tensor) -> Tensor:
        """Computes features [B, D] from images [B, 3, h, w]."""
        return self.pooled(self.block_outputs(images, 1)[0])

    def pooled(self, outputs: Tensor) -> Tensor:
        """Pools tokens [B, prefix + N, D] of the last block to features [B, D], as timm does."""
        feature: Tensor = self.timm_model.forward_head(
            self.timm_model.norm(outputs), pre_logits=True
        )
        return feature

    def tokens(self, images: Tensor) -> Tensor:
        """Computes all tokens after the last norm: [B, prefix + N, D]."""
        tokens: Tensor = self.last_norm(self.block_outputs(images, 1)[0])
        return tokens

    @property
    def last_norm(self) -> nn.Module:
        """Norm layer after the last block."""
        return last_norm(self.timm_model)

    def block_outputs(self, images: Tensor, num_blocks: int) -> list[Tensor]:
        """Computes the tokens after each of the last blocks, without norm, earliest block first."""
        return list(deque(self.each_block(images), maxlen=num_blocks))

    def each_block(self, images: Tensor) -> Iterator[Tensor]:
        """Yields the tokens that leave each block, without norm: [B, prefix + N, D]."""
        x, arguments = self.embed(images)
        for block, where in zip(self.timm_model.blocks, arguments, strict=True):
            x = block(x, **where)
            yield x

    @abstractmethod
    def embed(self, images: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Computes the first block's input [B, prefix + N, D] and each block's other arguments."""


class EvaBackbone(RelativeBackbone):
    """Transformer with rotary positions, for images of any size in whole patches."""

    def embed(self, images: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Computes the first block's input [B, prefix + N, D] and each block's other arguments."""
        eva: Any = self.timm_model
        x, rotations = eva._pos_embed(eva.patch_embed(images))
        depth = len(eva.blocks)
        if rotations is None:
            return eva.norm_pre(x), [{}] * depth
        per_block = rotations if eva.rope_mixed else [rotations] * depth
        return eva.norm_pre(x), [{"rope": rotation} for rotation in per_block]


class BeitBackbone(RelativeBackbone):
    """Transformer with a learned bias per relative position, for images of one size."""

    def embed(self, images: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Computes the first block's input [B, prefix + N, D] and each block's other arguments.

        Raises:
            PoiseError: the relative positions were learned for images of another size.
        """
        beit: Any = self.timm_model
        native, given = tuple(beit.patch_embed.img_size), tuple(images.shape[-2:])
        if given != native:
            raise PoiseError(
                f"images of {given[0]} × {given[1]} px: the relative positions of this backbone "
                f"are for {native[0]} × {native[1]} px"
            )
        x = torch.cat([beit.cls_token.expand(len(images), -1, -1), beit.patch_embed(images)], dim=1)
        x = beit.pos_drop(x if beit.pos_embed is None else x + beit.pos_embed)
        shared = {} if beit.rel_pos_bias is None else {"shared_rel_pos_bias": beit.rel_pos_bias()}
        return x, [shared] * len(beit.blocks)
