"""Backbones: timm models that compute features of images.

timm is imported only when the first backbone is built, because the import takes seconds. Most
processes of a run build no backbone. Prefix tokens are all tokens before the patches: [cls] and
registers.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.activation_checkpointing import as_block_wants
from poise.models.positions import resample_as_dino
from poise.models.relative import BeitBackbone, EvaBackbone, RelativeBackbone
from poise.models.timm_models import create_timm, last_norm

if TYPE_CHECKING:
    from timm.models import ResNet, VisionTransformer


def build_backbone(
    config: BackboneConfig, image_px: int, drop_path: float | None = None
) -> "VitBackbone | ResNetBackbone | RelativeBackbone":
    """Builds a randomly initialised backbone.

    Args:
        config: backbone settings of the recipe.
        image_px: side of the images that the position embeddings are made for.
        drop_path: rate of stochastic depth, instead of the recipe's value. A momentum teacher has
            0.

    Returns:
        ``VitBackbone``, ``EvaBackbone``, ``BeitBackbone`` or ``ResNetBackbone``.

    Raises:
        PoiseError: timm has no such model, the model does not accept these options, or the model
            has parts that Poise would not use.
    """
    from timm.models import Beit, Eva, ResNet, VisionTransformer

    model = create_timm(config, image_px, config.drop_path if drop_path is None else drop_path)
    if isinstance(model, VisionTransformer):
        return VitBackbone(model, config.position_resampling)
    if isinstance(model, Eva):
        return EvaBackbone(model)
    if isinstance(model, Beit):
        return BeitBackbone(model)
    if isinstance(model, ResNet):
        return ResNetBackbone(model)
    raise PoiseError(
        f"backbone.name={config.name}: is a {type(model).__name__}; "
        "only vision transformers and residual networks can be backbones"
    )


class VitBackbone(nn.Module):
    """Vision transformer for images of any size that is a multiple of its patch size.

    Tokens are in the order [cls], registers, patches (row-major). The feature of an image is its
    [cls] token after the last norm, or the mean patch if the model has no [cls]. Some models have a
    norm layer after pooling (``fc_norm``). Their feature is the normed mean patch, as in timm.
    """

    def __init__(self, timm_model: "VisionTransformer", position_resampling: str = "dino"):
        super().__init__()
        self.timm_model = timm_model
        self.position_resampling = position_resampling
        self.feature_dim: int = timm_model.embed_dim
        self.num_prefix_tokens: int = timm_model.num_prefix_tokens
        self.patch_px: int = timm_model.patch_embed.patch_size[0]

    def forward(self, images: Tensor) -> Tensor:
        """Computes features [B, D] from images [B, 3, h, w]."""
        if norms_after_pooling(self):
            return self.pooled(self.block_outputs(images, 1)[0])
        if not has_class_token(self):
            return self.feature(self.tokens(images))
        x = self._embed(images)
        for block in self.timm_model.blocks[:-1]:
            x = block(x)
        feature: Tensor = self.last_norm(block_part(self.timm_model.blocks[-1], x, 0, 1))
        return feature[:, 0]

    def pooled(self, outputs: Tensor) -> Tensor:
        """Pools tokens [B, prefix + N, D] of the last block to features [B, D], as timm does."""
        feature: Tensor = self.timm_model.forward_head(
            self.timm_model.norm(outputs), pre_logits=True
        )
        return feature

    def feature(self, tokens: Tensor) -> Tensor:
        """Returns the features [B, D] of images: the [cls] token, or the mean patch.

        Args:
            tokens: tokens after the last norm layer, [B, prefix + N, D].
        """
        if has_class_token(self):
            return tokens[:, 0]
        return tokens[:, self.num_prefix_tokens :].mean(dim=1)

    def tokens(self, images: Tensor) -> Tensor:
        """Computes all tokens after the last norm: [B, prefix + N, D]."""
        tokens: Tensor = self.last_norm(self.timm_model.blocks(self._embed(images)))
        return tokens

    @property
    def last_norm(self) -> nn.Module:
        """Norm layer after the last block."""
        return last_norm(self.timm_model)

    def block_outputs(self, images: Tensor, num_blocks: int) -> list[Tensor]:
        """Computes the tokens after each of the last ``num_blocks`` blocks, earliest block first.

        No norm layer is applied.
        """
        return list(deque(self.each_block(images), maxlen=num_blocks))

    def each_block(self, images: Tensor) -> Iterator[Tensor]:
        """Yields the tokens that leave each block, without norm: [B, prefix + N, D]."""
        x = self._embed(images)
        for block in self.timm_model.blocks:
            x = block(x)
            yield x

    def _embed(self, images: Tensor) -> Tensor:
        """Computes the tokens before the first block, with their positions: [B, prefix + N, D]."""
        vit = self.timm_model
        fuse_attention(vit.blocks, images.is_cuda)
        patches = vit.patch_embed(images)  # [B, rows, columns, D]
        if self.position_resampling == "timm" or vit.pos_embed is None:
            positioned: Tensor = vit.norm_pre(vit._pos_embed(patches))
            return positioned
        prefix, positions = self.prefix_and_positions()
        grid = (patches.shape[1], patches.shape[2])
        positions = resample_as_dino(positions, grid, vit.patch_embed.grid_size)
        tokens = [prefix.expand(len(images), -1, -1), patches.flatten(1, 2) + positions]
        embedded: Tensor = vit.norm_pre(torch.cat(tokens, dim=1))
        return embedded

    def prefix_and_positions(self) -> tuple[Tensor, Tensor]:
        """Returns two tensors: the prefix tokens [1, P, D] and the positions of patches [1, N, D].

        If the model has positions for the prefix tokens, they are already added to these tokens.
        """
        vit = self.timm_model
        covered = 0 if vit.no_embed_class else vit.num_prefix_tokens  # tokens with a position
        prefix_positions, positions = vit.pos_embed.split(
            [covered, vit.pos_embed.shape[1] - covered], dim=1
        )
        present = [token for token in (vit.cls_token, vit.reg_token) if token is not None]
        prefix = torch.cat(present, dim=1) if present else vit.pos_embed[:, :0]
        return (prefix + prefix_positions if covered else prefix), positions


def has_class_token(backbone: nn.Module) -> bool:
    """Returns True if token 0 of a backbone is a [cls] token."""
    return getattr(getattr(backbone, "timm_model", None), "cls_token", None) is not None


def has_patches(backbone: nn.Module) -> bool:
    """Returns True if a backbone computes patch tokens. A residual network does not."""
    return hasattr(backbone, "tokens")


def check_patches(backbone: nn.Module) -> None:
    """Raises an error if a backbone computes no patch tokens.

    Raises:
        PoiseError: the backbone has no patch tokens.
    """
    if not has_patches(backbone):
        raise PoiseError(
            f"{type(backbone).__name__}: has no patch tokens; use a vision transformer"
        )


def norms_after_pooling(backbone: nn.Module) -> bool:
    """Returns True if the last norm layer of a ViT (``fc_norm``) comes after pooling."""
    fc_norm = getattr(getattr(backbone, "timm_model", None), "fc_norm", None)
    pools = isinstance(backbone, VitBackbone) and backbone.timm_model.global_pool == "avg"
    return pools and isinstance(fc_norm, nn.Module) and not isinstance(fc_norm, nn.Identity)


def fuse_attention(blocks: Iterable[nn.Module], fused: bool) -> None:
    """Chooses in every block whether attention runs as a fused kernel.

    On a GPU, the fused kernel (``scaled_dot_product_attention``) is faster. On a CPU, separate
    matrix products are 1.1 to 5 times as fast. The gain is largest in bf16.
    """
    for block in blocks:
        attention: Any = block.attn
        attention.fused_attn = fused


def block_part(block: nn.Module, x: Tensor, start: int, stop: int | None = None) -> Tensor:
    """Computes a block's outputs only for its tokens from ``start`` to ``stop``.

    In the last block, often only a few output tokens are used. This function computes the MLP and
    the queries only for these tokens. The results are the same. For one token the cost is a sixth
    of the block.

    Args:
        block: block of timm.
        x: input of the whole block, [B, T, D].
        start: first token.
        stop: token after the last one; None means the end.

    Returns:
        [B, stop − start, D].
    """
    from timm.models.vision_transformer import Block

    if not isinstance(block, Block) or block.attn.gate is not None:
        whole: Tensor = block(x)
        return whole[:, start:stop]
    compute = getattr(block, PART_METHOD, None) or part_function(block)
    part: Tensor = compute(x, start, stop)
    return part


PART_METHOD = "forward_part"
"""Name of a block's attribute that replaces ``part_function`` if it is set (for sharded blocks)."""


def part_function(block: nn.Module) -> Callable[..., Tensor]:
    """Returns the function that computes a block's outputs for a range of tokens."""
    return as_block_wants(block, partial(_block_part, block))


def _block_part(block: Any, x: Tensor, start: int, stop: int | None) -> Tensor:
    attn, width = block.attn, block.attn.attn_dim
    normed = block.norm1(x)
    bias = attn.qkv.bias
    weights, biases = attn.qkv.weight.split([width, 2 * width]), (None, None)
    if bias is not None:
        biases = bias.split([width, 2 * width])
    heads = (attn.num_heads, attn.head_dim)
    q = F.linear(normed[:, start:stop], weights[0], biases[0]).unflatten(2, heads).transpose(1, 2)
    kv = F.linear(normed, weights[1], biases[1]).unflatten(2, (2, *heads))
    k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, heads, T, d_head]
    q, k = attn.q_norm(q), attn.k_norm(k)
    if attn.fused_attn:
        dropped = attn.attn_drop.p if attn.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropped)
    else:
        mixed = attn.attn_drop(((q * attn.scale) @ k.transpose(-2, -1)).softmax(dim=-1)) @ v
    mixed = attn.norm(mixed.transpose(1, 2).flatten(2))  # [B, stop − start, D]
    y: Tensor = x[:, start:stop] + block.drop_path1(block.ls1(attn.proj_drop(attn.proj(mixed))))
    y = y + block.drop_path2(block.ls2(block.mlp(block.norm2(y))))
    return y


class ResNetBackbone(nn.Module):
    """Residual network.

    The feature of an image is its last feature map, averaged over positions.
    """

    num_prefix_tokens = 0
    patch_px = 1

    def __init__(self, timm_model: "ResNet"):
        super().__init__()
        self.timm_model = timm_model
        self.feature_dim: int = timm_model.num_features

    def forward(self, images: Tensor) -> Tensor:
        """Computes features [B, D] from images [B, 3, h, w].

        On a CPU, it always computes in fp32, because gradients of bf16 convolutions are sometimes
        NaN there. Images are stored with channels last, because convolutions are then faster.
        """
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", enabled=False):
            features: Tensor = self.timm_model(images)
        return features
