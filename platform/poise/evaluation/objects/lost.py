"""LOST: finds the object of an image by similarities of patches (arXiv 2109.14279).

In: features of patches. Out: a ``Discovery``. Next: ``poise.evaluation.objects.discovery``.

Idea: a patch of an object is similar to few other patches, and a patch of the background to many.
Two patches are similar if the product of their features is positive. The degree of a patch is its
number of similar patches. The patch with the lowest degree is the seed. The group of the seed
contains the patches that are similar to the seed and also have a low degree. The object consists of
the patches that are similar to this group and connected with the seed.

As in the published code, the similarities with the group are added with their signs. The paper
counts the positive similarities instead. In the published code, the order of patches with equal
degrees depends on the processor. Here their order is that of their positions, unless ``stable`` is
False.

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
"""Number of patches with the lowest degrees that may join the seed's group, as published."""


@dataclass(frozen=True)
class LostSettings:
    """Settings of LOST. The defaults are the published values."""

    k_patches: int = K_PATCHES
    """Number of patches with the lowest degrees that may join the group of the seed."""

    bias: float = 0.0
    """Number that is added to every similarity."""

    stable: bool = True
    """Whether patches with equal degrees are ordered by position.

    False uses an unstable sort as in the published code.
    """


PUBLISHED: Final = LostSettings()


@dataclass(frozen=True)
class Discovery:
    """Results of LOST for B images of one size, each with h × w = N patches."""

    degrees: Tensor
    """Degree of each patch, the number of other patches with a positive similarity: int64 [B, N].
    """

    seeds: Tensor
    """Index of the seed patch of each image, int64 [B]."""

    masks: NDArray[np.bool_]
    """Patches of the object in each image, bool [B, h, w]."""

    boxes: NDArray[np.int64]
    """Box of the object x0, y0, x1, y1 in pixels, [B, 4]. x1 and y1 are exclusive."""


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
        features: features of patches in row-major order, float [B, N, D], such as the keys of the
            last block with concatenated heads. They are not normalised, as published.
        grid: numbers of rows h and columns w of patches.
        patch_px: side of a patch in pixels.
        size: width and height of the images in pixels, without padding. Boxes end at these edges.
        settings: settings of LOST.

    Raises:
        ValueError: the number of patches is not h × w.
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
    """Marks the patches that are similar to the group of the seed: bool [B, N].

    Such a patch has similarities to the patches of the group that add up to more than 0.
    """
    of_seed = similarity[torch.arange(len(seeds), device=seeds.device), seeds]  # [B, N]
    joins = of_seed.gather(1, candidates) > 0  # [B, k]
    index = candidates.unsqueeze(2).expand(-1, -1, similarity.shape[2])
    return (similarity.gather(1, index) * joins.unsqueeze(2)).sum(dim=1) > 0


def centred(features: Tensor) -> Tensor:
    """Subtracts the mean over the patches of each image from features [B, N, D]."""
    return features - features.mean(dim=1, keepdim=True)
