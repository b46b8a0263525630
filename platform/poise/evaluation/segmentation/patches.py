"""Reads features and classes of patches, for a linear classifier.

In: a backbone, images and their class maps. Out: features and class shares of some patches. Next:
``poise.evaluation.segmentation.classifier``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench
from poise.evaluation.segmentation.classes import ClassMap

NUM_PATCHES: Final = 2**15
"""Largest number of patches that a classifier learns from. More images mean fewer patches per
image.
"""

_SEED = 0

KINDS: Final = ("model", "pixels")
"""Kinds of features: patch tokens of the backbone and, as a baseline, the pixels of each patch."""

ClassMaps = Callable[[NDArray[np.int64]], list[ClassMap]]
"""Function that takes ascending ids of images and returns a class map [px, px] for each image."""


class PatchReader(nn.Module):
    """Frozen backbone that returns its patch tokens and the pixels of the same patches."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes ``model`` [b, N, D] and ``pixels`` [b, N, 3·p²] of images [b, 3, H, W]."""
        backbone: Any = self.backbone
        tokens: Tensor = backbone.tokens(images)
        pixels = F.unfold(images, backbone.patch_px, stride=backbone.patch_px).transpose(1, 2)
        return {"model": tokens[:, backbone.num_prefix_tokens :], "pixels": pixels}


@dataclass(frozen=True)
class TrainingPatches:
    """Features and class shares of the m patches that a classifier with C classes learns from."""

    features: dict[str, Tensor]
    """Maps each kind of features (see ``KINDS``) to the features, float32 [m, D]."""

    shares: Tensor
    """Share of each class among the counted pixels of a patch, float32 [m, C]. Rows sum to 1."""

    images: Tensor
    """Number of the image that each patch is from, int64 [m]."""


def read_patches(
    backbone: nn.Module,
    images: EvaluationImages,
    class_maps: ClassMaps,
    num_classes: int,
    bench: Bench,
) -> TrainingPatches:
    """Reads the same number of patches of every image, at random positions.

    The id of an image is the seed of its positions. Patches without a counted pixel are left out.
    The memory does not grow with the number of images.

    Args:
        backbone: transformer on the device of the bench.
        images: images to read.
        class_maps: function that reads the class maps of the images.
        num_classes: number of classes C.
        bench: settings for passing the images through the backbone.
    """
    per_image = max(1, NUM_PATCHES // len(images))
    found: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    shares, numbers, done = [], [], 0
    for outputs, _ in image_pass(PatchReader(backbone), images, bench):
        ids = images.sample_ids[done : done + len(outputs["model"])]
        for row, (sample_id, classes) in enumerate(zip(ids, class_maps(ids), strict=True)):
            of_image = class_shares(classes, int(backbone.patch_px), num_classes)  # type: ignore[arg-type]
            places = _places(int(sample_id), len(of_image), per_image)
            places = places[of_image[places].sum(dim=1) > 0]
            for kind in KINDS:
                found[kind].append(outputs[kind][row, places.to(outputs[kind].device)])
            shares.append(of_image[places])
            numbers.append(torch.full((len(places),), done + row))
        done += len(ids)
    features = {kind: torch.cat(each) for kind, each in found.items()}
    return TrainingPatches(features, torch.cat(shares), torch.cat(numbers))


def class_shares(classes: ClassMap, patch_px: int, num_classes: int) -> Tensor:
    """Computes the share of each class among the counted pixels of every patch.

    Args:
        classes: class indices [px, px]. Pixels with an index above C − 1 are not counted.
        patch_px: side of a patch in pixels. It divides px.
        num_classes: number of classes C.

    Returns:
        Shares float32 [N, C] of the patches in row-major order. A patch without counted pixels has
        zeros.
    """
    side = len(classes) // patch_px
    blocks = classes.reshape(side, patch_px, side, patch_px).swapaxes(1, 2)
    flat = np.minimum(blocks.reshape(side * side, -1).astype(np.int64), num_classes)
    flat += (num_classes + 1) * np.arange(side * side)[:, None]
    counts = np.bincount(flat.ravel(), minlength=side * side * (num_classes + 1))
    counted = counts.reshape(side * side, -1)[:, :num_classes].astype(np.float32)
    return torch.from_numpy(counted / np.maximum(counted.sum(axis=1, keepdims=True), 1))


def _places(sample_id: int, num_patches: int, most: int) -> Tensor:
    """Chooses patches of an image at random. The same arguments always give the same patches."""
    if num_patches <= most:
        return torch.arange(num_patches)
    draws = np.random.default_rng((_SEED, sample_id))
    return torch.from_numpy(np.sort(draws.choice(num_patches, most, replace=False)))
