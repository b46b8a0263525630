"""Masked autoencoder around a vision transformer (arXiv 2111.06377).

In: patches, and an order of patches whose first V are visible. Out: predicted pixels of the hidden
patches. Next: ``poise.objectives.mae``.

Shapes: B images, N patches of which V are visible, P prefix tokens ([cls] and registers), width D
in the encoder and d in the decoder, C = 3·p² numbers per patch. Attention does not depend on the
order of tokens, so tokens need not be sorted by position. The decoder gets prefix tokens, visible
tokens and hidden tokens, in this order. Each token has the embedding of its position.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.objectives import MaeConfig
from poise.models.backbone import VitBackbone, block_part, fuse_attention

_TOKEN_STD = 0.02
_LONGEST_WAVE = 10_000.0  # patches, over 2π


def sincos_positions(dim: int, grid: tuple[int, int]) -> Tensor:
    """Computes fixed position embeddings: sines and cosines of the column, then of the row.

    Each coordinate has D/2 channels: D/4 sines, then D/4 cosines. The frequencies are 10000^(−4k/D)
    for k = 0 … D/4 − 1.

    Args:
        dim: width D, a multiple of 4.
        grid: number of rows and columns of patches.

    Returns:
        float32 [N, D], row-major.

    Raises:
        ValueError: D is not a multiple of 4.
    """
    if dim % 4:
        raise ValueError(f"dim={dim}: two coordinates' sines and cosines need a multiple of 4")
    frequencies = _LONGEST_WAVE ** (-np.arange(dim // 4) / (dim / 4))
    rows, columns = np.indices(grid).reshape(2, -1, 1)
    waves = [wave(axis * frequencies) for axis in (columns, rows) for wave in (np.sin, np.cos)]
    return torch.from_numpy(np.concatenate(waves, axis=1)).float()


def patchify(images: Tensor, patch_px: int) -> Tensor:
    """Cuts images [B, 3, H, W] into patches [B, N, C], row by row, with channels last."""
    rows, columns = images.shape[2] // patch_px, images.shape[3] // patch_px
    pieces = images.unflatten(3, (columns, patch_px)).unflatten(2, (rows, patch_px))
    patches: Tensor = pieces.permute(0, 2, 4, 3, 5, 1).reshape(len(images), rows * columns, -1)
    return patches


def unpatchify(patches: Tensor, patch_px: int, grid: tuple[int, int]) -> Tensor:
    """Joins patches to images [B, 3, H, W]. This is the inverse of ``patchify``."""
    pieces = patches.unflatten(2, (patch_px, patch_px, 3)).unflatten(1, grid)
    images: Tensor = pieces.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
    return images


def take(patches: Tensor, chosen: Tensor) -> Tensor:
    """Selects n patches of each image.

    Args:
        patches: N patches of each image, [B, N, C].
        chosen: indices of the n patches of each image, [B, n].

    Returns:
        Selected patches [B, n, C].
    """
    first = torch.arange(len(patches), device=patches.device)[:, None] * patches.shape[1]
    rows = patches.flatten(0, 1).index_select(0, (chosen + first).flatten())
    taken: Tensor = rows.unflatten(0, chosen.shape)
    return taken


class MaskedAutoencoder(nn.Module):
    """Masked autoencoder: an encoder of visible patches, and a small decoder of hidden patches."""

    def __init__(self, backbone: VitBackbone, config: MaeConfig):
        """Initialises the backbone's weights as published, and makes the decoder.

        Registers are initialised like [cls].

        Raises:
            PoiseError: the backbone has another kind of patches or positions than MAE, or a width
                is not a multiple of 4.
        """
        super().__init__()
        self.backbone = backbone
        vit = backbone.timm_model
        self.grid: tuple[int, int] = vit.patch_embed.grid_size
        if vit.pos_embed is None or not isinstance(vit.patch_embed.proj, nn.Conv2d):
            raise PoiseError(
                "backbone.name: objective mae hides patches, so it needs a plain vision "
                "transformer, with one embedding and one position per patch"
            )
        widths = {
            "backbone.options.embed_dim": vit.embed_dim,
            "objective.decoder_dim": config.decoder_dim,
        }
        for key, dim in widths.items():
            if dim % 4:
                raise PoiseError(
                    f"{key}={dim}: must be a multiple of 4, for the sines and cosines of a patch's "
                    "row and column"
                )
        self.decoder = MaeDecoder(
            backbone.feature_dim, self.grid, 3 * backbone.patch_px**2, backbone.num_prefix_tokens,
            config,
        )  # fmt: skip
        self._initialize()

    def encode(self, visible_patches: Tensor, visible: Tensor) -> Tensor:
        """Encodes the visible patches, and returns the tokens after the last norm.

        Args:
            visible_patches: [B, V, C].
            visible: int64 [B, V], indices of these patches.

        Returns:
            [B, P + V, D]: prefix tokens first, then patches in the given order.
        """
        vit = self.backbone.timm_model
        fuse_attention(vit.blocks, visible_patches.is_cuda)
        prefix, positions = self.backbone.prefix_and_positions()
        # The patch embedding is one product per patch, so only the visible patches are
        # multiplied.
        projection = vit.patch_embed.proj
        weight = projection.weight.permute(0, 2, 3, 1).flatten(1)  # [D, C], channels last
        tokens = vit.patch_embed.norm(F.linear(visible_patches, weight, projection.bias))
        tokens = tokens + positions[0][visible]
        x = vit.norm_pre(torch.cat([prefix.expand(len(tokens), -1, -1), tokens], dim=1))
        latent: Tensor = self.backbone.last_norm(vit.blocks(x))
        return latent

    def forward(self, patches: Tensor, order: Tensor, num_visible: int) -> tuple[Tensor, Tensor]:
        """Predicts the pixels of hidden patches. Also returns the encoder's tokens.

        Args:
            patches: [B, N, C] in the order ``order``; the hidden patches are not used.
            order: int64 [B, N], index of each patch; the first ``num_visible`` are visible.
            num_visible: number of visible patches V.

        Returns:
            [B, N − V, C], in the order of the hidden patches, and [B, P + V, D].
        """
        latent = self.encode(patches[:, :num_visible], order[:, :num_visible])
        return self.decoder(latent, order), latent

    @torch.no_grad()
    def _initialize(self) -> None:
        vit = self.backbone.timm_model
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)  # query, key and value are one matrix
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(vit.patch_embed.proj.weight.view(vit.embed_dim, -1))
        for token in (vit.cls_token, vit.reg_token, self.decoder.mask_token):
            if token is not None:
                nn.init.normal_(token, std=_TOKEN_STD)
        positions = sincos_positions(vit.embed_dim, self.grid)
        vit.pos_embed.zero_()[0, -len(positions) :] = positions  # 0 for [cls]
        vit.pos_embed.requires_grad_(False)


class MaeDecoder(nn.Module):
    """Decoder of MAE: a few narrow blocks that predict the hidden patches."""

    positions: Tensor

    def __init__(
        self,
        encoder_dim: int,
        grid: tuple[int, int],
        patch_dim: int,
        num_prefix_tokens: int,
        config: MaeConfig,
    ):
        from timm.models.vision_transformer import Block

        super().__init__()
        dim = config.decoder_dim
        self.num_prefix_tokens = num_prefix_tokens
        self.embed = nn.Linear(encoder_dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.register_buffer("positions", sincos_positions(dim, grid), persistent=False)
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.ModuleList(
            Block(dim, config.decoder_heads, qkv_bias=True, norm_layer=norm)
            for _ in range(config.decoder_depth)
        )
        self.norm = norm(dim)
        self.pred = nn.Linear(dim, patch_dim)

    def forward(self, latent: Tensor, order: Tensor, everywhere: bool = False) -> Tensor:
        """Predicts the pixels of patches.

        Args:
            latent: tokens of the encoder, [B, P + V, D].
            order: int64 [B, N], visible patches first.
            everywhere: whether to predict the visible patches too, which the loss does not need.

        Returns:
            [B, N − V, C] of the hidden patches, or [B, N, C] of all patches, in ``order``.
        """
        fuse_attention(self.blocks, latent.is_cuda)
        num_prefix, num_seen = self.num_prefix_tokens, latent.shape[1]
        seen = self.embed(latent)
        positions = self.positions[order]  # [B, N, d]
        prefix, visible = seen.split([num_prefix, num_seen - num_prefix], dim=1)
        at_visible, at_hidden = positions.split(
            [num_seen - num_prefix, order.shape[1] - num_seen + num_prefix], dim=1
        )
        x = torch.cat([prefix, visible + at_visible, self.mask_token + at_hidden], dim=1)
        for block in self.blocks[:-1]:
            x = block(x)
        x = block_part(self.blocks[-1], x, num_prefix if everywhere else num_seen)
        predicted: Tensor = self.pred(self.norm(x))
        return predicted
