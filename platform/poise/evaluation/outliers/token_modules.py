"""Modules that compute norms and tokens of images, in a pass over a dataset.

In: a backbone and normalised images. Out: small tensors for each image. Next:
``poise.evaluation.reading.dataset_pass`` runs them for ``poise.evaluation.outliers.measure``.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

_SHADES = 100  # steps per unit of a normalised value, enough to distinguish images


@dataclass(frozen=True)
class Drawn:
    """Numbers of patches whose tokens are returned for each image, by the way of choosing them."""

    longest: int
    """Number of patches with the largest norms. Outliers are among them, if the image has any."""

    drawn: int
    """Number of patches that are chosen at random."""


class NormReader(nn.Module):
    """Backbone that returns the norms of all tokens after each block."""

    def __init__(self, backbone: nn.Module) -> None:
        """Wraps a transformer of ``poise.models.backbone``."""
        super().__init__()
        self.backbone = backbone

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes the norms of all tokens after each block, ``norms`` [B, blocks, T]."""
        backbone: Any = self.backbone
        return {"norms": torch.stack([_norms(x) for x in backbone.each_block(images)], dim=1)}


class TokenReader(nn.Module):
    """Backbone that returns all tokens' norms, and the positions and vectors of some tokens."""

    def __init__(self, backbone: nn.Module, drawn: Drawn) -> None:
        """Wraps a transformer of ``poise.models.backbone``.

        Args:
            backbone: transformer.
            drawn: numbers of patches per image whose tokens are returned.
        """
        super().__init__()
        self.backbone = backbone
        self.drawn = drawn

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes all values that the evaluation needs of images [B, 3, h, w].

        Returns:
            norms: norms of all tokens after each block, [B, blocks, T].
            cosines: cosine of each patch with its neighbours after the patch embedding, [B, N].
            roughness: standard deviation of each patch's normalised pixels, [B, N].
            prefix: [cls] and registers after the last norm, [B, P, D].
            longest_places, drawn_places: patches whose tokens are returned, [B, k].
            longest_tokens, drawn_tokens: these tokens after the last norm, [B, k, D].
            longest_pixels, drawn_pixels: these patches' normalised pixels, float16 [B, k, 3·p·p].
        """
        backbone: Any = self.backbone
        norms = []
        for raw in backbone.each_block(images):
            norms.append(_norms(raw))
        start = backbone.num_prefix_tokens
        normed = backbone.last_norm(raw).float()
        pixels = patch_pixels(images, backbone.patch_px)
        lengths = norms[-1][:, start:]
        found = {
            "norms": torch.stack(norms, dim=1),
            "cosines": neighbour_cosines(self._embedded(images)),
            "roughness": roughness(pixels),
            "prefix": normed[:, :start],
        }
        places = {
            "longest": lengths.topk(min(self.drawn.longest, lengths.shape[1]), dim=1).indices,
            "drawn": draw_places(images, lengths.shape[1], self.drawn.drawn),
        }
        for name, chosen in places.items():
            found[f"{name}_places"] = chosen
            found[f"{name}_tokens"] = _take(normed[:, start:], chosen)
            found[f"{name}_pixels"] = _take(pixels, chosen).half()
        return found

    def _embedded(self, images: Tensor) -> Tensor:
        """Computes the patch embedding without positions: [B, rows, columns, D]."""
        backbone: Any = self.backbone
        embedded: Tensor = backbone.timm_model.patch_embed(images)
        rows = images.shape[2] // backbone.patch_px
        return embedded if embedded.ndim == 4 else embedded.unflatten(1, (rows, -1))


def neighbour_cosines(patches: Tensor) -> Tensor:
    """Computes the mean cosine of each patch with its 2 to 4 direct neighbours.

    Source: registers (arXiv 2309.16588, section 2.1, figure 5). There, outliers are patches that
    are similar to their neighbours.

    Args:
        patches: tokens directly after the patch embedding, without positions, [B, rows, columns,
            D].

    Returns:
        Cosines [B, rows·columns], −1 to 1. An image of a single patch has the value 1.
    """
    patches = patches.float()
    batch, rows, columns, _ = patches.shape
    sums, counts = patches.new_zeros(batch, rows, columns), patches.new_zeros(rows, columns)
    down = cosine_similarity(patches[:, 1:], patches[:, :-1], dim=-1)  # [B, rows − 1, columns]
    across = cosine_similarity(patches[:, :, 1:], patches[:, :, :-1], dim=-1)
    for part, cosines in (
        ((slice(1, None), slice(None)), down),
        ((slice(None, -1), slice(None)), down),
        ((slice(None), slice(1, None)), across),
        ((slice(None), slice(None, -1)), across),
    ):
        sums[:, *part] += cosines
        counts[part] += 1
    return torch.where(counts > 0, sums / counts.clamp(min=1), 1.0).flatten(1)


def patch_pixels(images: Tensor, patch_px: int) -> Tensor:
    """Cuts images [B, 3, h, w] into patches: [B, N, 3·p·p].

    A patch of p × p pixels has first all values of the first channel, then those of the second and
    third.
    """
    rows, columns = (side // patch_px for side in images.shape[-2:])
    cut = images[:, :, : rows * patch_px, : columns * patch_px]
    cut = cut.unflatten(2, (rows, patch_px)).unflatten(4, (columns, patch_px))
    patches: Tensor = cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    return patches


def roughness(pixels: Tensor) -> Tensor:
    """Computes the contrast of patches, [B, N], from their pixels [B, N, 3·p·p].

    Contrast is the standard deviation of the pixels, averaged over the channels.
    """
    by_channel: Tensor = pixels.unflatten(2, (3, -1))
    return by_channel.std(dim=-1, correction=0).mean(dim=-1)


def draw_places(images: Tensor, num_patches: int, count: int) -> Tensor:
    """Chooses patches of each image at random, without repeats: int64 [B, count].

    The pixels of an image determine the seed. So the same patches are chosen in every batch and on
    every machine.
    """
    shades = (images[..., ::3, ::3] * _SHADES).round().long().flatten(1)
    seeds = (shades * torch.arange(1, shades.shape[1] + 1, device=images.device)).sum(dim=1)
    drawn = []
    for seed in seeds.tolist():
        generator = torch.Generator().manual_seed(seed % 2**63)
        drawn.append(torch.randperm(num_patches, generator=generator)[:count])
    return torch.stack(drawn).to(images.device)


def _norms(tokens: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(tokens.float(), dim=-1)
    return norms


def _take(rows: Tensor, places: Tensor) -> Tensor:
    """Selects k tokens of each image, [B, k, D], from N tokens [B, N, D]. ``places`` are [B, k]."""
    return rows.gather(1, places[..., None].expand(-1, -1, rows.shape[-1]))
