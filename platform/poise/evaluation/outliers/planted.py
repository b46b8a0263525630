"""Backbones with known outliers, which test the evaluation of outliers.

In: a backbone and a ``Plant``. Out: the same backbone with outliers of known number, place, norm
and content. Next: ``poise.evaluation.outliers.recovery``.

Small models have no outliers by themselves (arXiv 2309.16588, section 2.2). A report on outliers
can be trusted only if it is right in cases whose truth is known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.evaluation.outliers.reader import draw_places, patch_pixels, roughness
from poise.models.backbone import VitBackbone, has_class_token


@dataclass(frozen=True)
class Plant:
    """Outliers to plant into every image."""

    norm: float
    """Norm of each planted token."""

    count: int
    """Planted tokens per image, at least 1."""

    first_block: int = 1
    """Block from 1 after which, and after all later ones, the tokens are planted."""

    where: Literal["flat", "fixed", "anywhere"] = "flat"
    """``flat``: the patches of the image with the least contrast. ``fixed``: the first ``count``
    patches of the image's left column and then of the next one, in every image. ``anywhere``:
    patches drawn at random for each image."""

    holds: Literal["image", "patch", "nothing"] = "image"
    """``image``: the direction of the image's [cls] token, or of the mean patch, so it tells the
    class as that token does. ``patch``: its own direction, so it knows all that it knew before.
    ``nothing``: one direction for all tokens, so it knows neither place nor pixels nor class."""


class PlantedBackbone(VitBackbone):
    """Vision transformer whose patch tokens contain planted outliers.

    They replace the tokens that leave each block, and the blocks themselves compute as before: so
    ordinary tokens, [cls] and features stay exactly what they were.
    """

    def __init__(self, backbone: VitBackbone, plant: Plant) -> None:
        """Shares the weights of a backbone.

        Args:
            backbone: a vision transformer.
            plant: the outliers.
        """
        super().__init__(backbone.timm_model, backbone.position_resampling)
        self.plant = plant

    def each_block(self, images: Tensor) -> Iterator[Tensor]:
        """Yields the tokens that leave each block, planted: [B, prefix + N, D]."""
        places = self.places(images)
        for number, tokens in enumerate(super().each_block(images), start=1):
            yield self._planted(tokens, places) if number >= self.plant.first_block else tokens

    def places(self, images: Tensor) -> Tensor:
        """Patches of normalised images [B, 3, h, w] that are planted: int64 [B, count]."""
        rows, columns = (side // self.patch_px for side in images.shape[-2:])
        if self.plant.where == "anywhere":
            return draw_places(images.flip(3), rows * columns, self.plant.count)
        if self.plant.where == "flat":
            contrast = roughness(patch_pixels(images, self.patch_px))
            return contrast.argsort(dim=1, stable=True)[:, : self.plant.count]
        by_column = torch.arange(rows * columns, device=images.device).view(-1, columns).T.flatten()
        return by_column[: self.plant.count].expand(len(images), -1)

    def _planted(self, tokens: Tensor, places: Tensor) -> Tensor:
        rows = (places + self.num_prefix_tokens)[..., None].expand(-1, -1, tokens.shape[-1])
        held = self._held(tokens).expand(-1, tokens.shape[1], -1).gather(1, rows)
        return tokens.scatter(1, rows, self.plant.norm * normalize(held, dim=-1))

    def _held(self, tokens: Tensor) -> Tensor:
        """What planted tokens hold, [B, 1 or T, D]."""
        if self.plant.holds == "patch":
            return tokens
        if self.plant.holds == "nothing":
            # Alternating signs: a norm layer would turn equal numbers into zeros.
            signs = torch.arange(tokens.shape[2], device=tokens.device) % 2 * 2.0 - 1
            return signs.to(tokens.dtype).expand(len(tokens), 1, -1)
        if has_class_token(self):
            return tokens[:, :1]
        return tokens[:, self.num_prefix_tokens :].mean(dim=1, keepdim=True)
