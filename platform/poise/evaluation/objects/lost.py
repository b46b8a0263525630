"""LOST: finds the object of an image by similarities of patches (arXiv 2109.14279).

In: features of patches. Out: a ``Discovery``. Next: ``poise.evaluation.objects.discovery``.

The idea: a patch of an object is similar to few other patches, and a patch of the background to
many. Two patches are similar if the product of their features is positive. The patch with the
fewest similar patches is the seed. The group of the seed consists of patches that are similar to it
and that also have few similar patches. The object consists of the patches that are similar to this
group and connected with the seed.

As in the published code, the similarities with the group are added with their signs. The paper
counts the positive ones instead. In the published code, the order of patches with the same number
of similar patches depends on the processor. Here they are ordered by their position, unless
``stable`` is False.

In some models, such as DINOv2, all similarities are positive. Then LOST finds the whole image.
*Vision Transformers Need Registers* (arXiv 2309.16588) adds a bias to every similarity,
``LostSettings.bias``, but does not publish its value. ``centred`` needs no such value: it subtracts
the mean over the image from the features.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.evaluation.objects.components import Grid, component_at, patch_box

K_PATCHES: Final = 100
"""Patches that may join the seed's group, as published."""


@dataclass(frozen=True)
class LostSettings:
    """Settings of LOST. The defaults are the published values."""

    k_patches: int = K_PATCHES
    """Largest number of patches that may join the group of the seed."""

    bias: float = 0.0
    """Number that is added to every similarity."""

    stable: bool = True
    """Whether patches with equal degrees are ordered by position. False gives the published order,
    which is that of an unstable sort.
    """


PUBLISHED: Final = LostSettings()


@dataclass(frozen=True)
class Discovery:
    """What LOST found in B images of one size, each with h × w = N patches."""

    degrees: Tensor
    """Number of other patches with a positive similarity, int64 [B, N]."""

    seeds: Tensor
    """Index of the seed, int64 [B]."""

    masks: NDArray[np.bool_]
    """Patches of the object, [B, h, w]."""

    boxes: NDArray[np.int64]
    """Its box [B, 4]: x0, y0, x1, y1 in pixels. The far edges are outside."""


@torch.no_grad()
def discover(
    features: Tensor,
    grid: Grid,
    patch_px: int,
    size: tuple[int, int],
    settings: LostSettings = PUBLISHED,
) -> Discovery:
    """Finds one object in each image.

    Args:
        features: float [B, N, D], such as the keys of the last block with concatenated heads. They
            are not normalised, as published. Patches are row-major.
        grid: rows h and columns w of patches.
        patch_px: side of a patch in pixels.
        size: width and height of the images in pixels, without padding. Boxes end there.
        settings: settings of LOST.

    Raises:
        ValueError: the features do not fill the grid.
    """
    if features.shape[1] != grid[0] * grid[1]:
        raise ValueError(f"{features.shape[1]} patches do not fill a grid of {grid}")
    similarity = features @ features.transpose(1, 2) + settings.bias  # [B, N, N]
    positive = similarity > 0
    degrees = positive.sum(dim=2) - positive.diagonal(dim1=1, dim2=2).long()
    order = (-degrees).float().sort(dim=1, descending=True, stable=settings.stable).indices
    candidates = order[:, : settings.k_patches]
    seeds = candidates[:, 0]
    masks = _resembling(similarity, seeds, candidates).unflatten(1, grid).cpu().numpy()
    places = [divmod(seed, grid[1]) for seed in seeds.tolist()]
    objects = [component_at(mask, place) for mask, place in zip(masks, places, strict=True)]
    boxes = [patch_box(each, patch_px, size) for each in objects]
    return Discovery(degrees, seeds, np.stack(objects), np.array(boxes, dtype=np.int64))


def _resembling(similarity: Tensor, seeds: Tensor, candidates: Tensor) -> Tensor:
    """Patches whose similarities to the seed's group add up to more than 0: bool [B, N]."""
    of_seed = similarity[torch.arange(len(seeds), device=seeds.device), seeds]  # [B, N]
    joins = of_seed.gather(1, candidates) > 0  # [B, k]
    index = candidates.unsqueeze(2).expand(-1, -1, similarity.shape[2])
    return (similarity.gather(1, index) * joins.unsqueeze(2)).sum(dim=1) > 0


def centred(features: Tensor) -> Tensor:
    """Subtracts from features [B, N, D] their mean over the patches of each image."""
    return features - features.mean(dim=1, keepdim=True)
