"""Makes backbones with artificial outliers, which test the evaluation of outliers.

In: a backbone and a ``Plant``. Out: the same backbone with outliers of known number, place, norm
and content. Next: ``poise.evaluation.outliers.planted_truth``.

Small models have no outliers by themselves (arXiv 2309.16588, section 2.2). A report on outliers
can be trusted only if it is right in cases whose truth is known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.evaluation.outliers.token_modules import draw_places, patch_pixels, roughness
from poise.models.backbone import VitBackbone, has_class_token


@dataclass(frozen=True)
class Plant:
    """Artificial outliers that are put into the tokens of every image."""

    norm: float
    """Norm of each artificial outlier."""

    count: int
    """Number of artificial outliers per image, at least 1."""

    first_block: int = 1
    """Number (from 1) of the first block after which the outliers appear. They stay in all later
    blocks.
    """

    where: Literal["flat", "fixed", "anywhere"] = "flat"
    """Patches that become outliers.

    ``flat``: the patches of the image with the least contrast. ``fixed``: the same patches in every
    image, column by column from the top left. ``anywhere``: patches chosen at random for each
    image.
    """

    holds: Literal["image", "patch", "nothing"] = "image"
    """Direction of the outlier's vector.

    ``image``: the direction of the image's [cls] token, or of the mean patch, so the outlier
    predicts the class. ``patch``: the direction of the replaced token, so the outlier keeps all
    information. ``nothing``: the same direction for all outliers, so an outlier contains no
    information.
    """


class PlantedBackbone(VitBackbone):
    """Vision transformer whose patch tokens contain artificial outliers.

    Outliers replace tokens only in the output of each block. The blocks compute with the original
    tokens. So ordinary tokens, [cls] and features stay exactly the same.
    """

    def __init__(self, backbone: VitBackbone, plant: Plant) -> None:
        """Shares the weights of a backbone.

        Args:
            backbone: vision transformer.
            plant: number, place, norm and content of the outliers.
        """
        super().__init__(backbone.timm_model, backbone.position_resampling)
        self.plant = plant

    def each_block(self, images: Tensor) -> Iterator[Tensor]:
        """Yields the tokens after each block, with outliers: [B, prefix + N, D]."""
        places = self.places(images)
        for number, tokens in enumerate(super().each_block(images), start=1):
            yield self._planted(tokens, places) if number >= self.plant.first_block else tokens

    def places(self, images: Tensor) -> Tensor:
        """Returns the patches of images [B, 3, h, w] that become outliers: int64 [B, count]."""
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
        """Computes vectors with the direction of the artificial outliers, [B, 1 or T, D]."""
        if self.plant.holds == "patch":
            return tokens
        if self.plant.holds == "nothing":
            # Alternating signs: a norm layer would turn equal numbers into zeros.
            signs = torch.arange(tokens.shape[2], device=tokens.device) % 2 * 2.0 - 1
            return signs.to(tokens.dtype).expand(len(tokens), 1, -1)
        if has_class_token(self):
            return tokens[:, :1]
        return tokens[:, self.num_prefix_tokens :].mean(dim=1, keepdim=True)
