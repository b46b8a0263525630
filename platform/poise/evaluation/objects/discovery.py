"""Finds an object in every image, by LOST and by the attention of each head, in one pass.

In: a backbone and ``NativeImages``. Out: boxes in pixels of the original images of the dataset.
Next: ``poise.evaluation.objects.report`` compares the boxes with the truth.

Both methods share one pass through all blocks except the last. The process that runs the pass also
computes the boxes. So only boxes are sent to the main process, and no features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.evaluation.objects.attention_masks import KEPT_MASS, head_attention, mass_masks
from poise.evaluation.objects.components import Grid, largest_component, patch_box
from poise.evaluation.objects.lost import (
    K_PATCHES,
    Discovery,
    LostSettings,
    centred,
    discover,
)
from poise.evaluation.objects.padding import pad_to_patches
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.inference import Bench
from poise.evaluation.reading.native import MAX_PATCHES, NativeImages, NativeSize
from poise.models.last_block import LastBlock, Projection


@dataclass(frozen=True)
class DiscoverySettings:
    """Settings of object discovery. The defaults are the published values."""

    features: Projection = "k"
    """Projection of the last block (such as the keys) that LOST compares."""

    k_patches: int = K_PATCHES
    """Number of patches with the lowest degrees that LOST may add to the seed's group."""

    bias: float = 0.0
    """Number that LOST adds to every similarity of two patches."""

    kept_mass: float = KEPT_MASS
    """Share of a head's attention that the patches of its mask receive together."""

    with_hard: bool = True
    """Whether true boxes that are marked as difficult or truncated count. If False, images without
    other boxes are left out.
    """

    max_patches: int = MAX_PATCHES
    """Largest number of patches of an image. Larger images are shrunk, and their boxes are scaled
    back.
    """

    shorter_px: int | None = None
    """Length to which the shorter side is resized. None keeps the image's own size."""

    def native_size(self, patch_px: int) -> NativeSize:
        """Returns the rule for the size at which images are read, for a patch side in pixels."""
        return NativeSize(patch_px, self.max_patches, self.shorter_px)


PUBLISHED: Final = DiscoverySettings()


@dataclass(frozen=True)
class FoundBoxes:
    """Boxes that were found in b images."""

    sample_ids: NDArray[np.int64]
    sizes: NDArray[np.int64]
    """Width and height of each image in the dataset, [b, 2]."""

    boxes: NDArray[np.float64]
    """Boxes x0, y0, x1, y1 in pixels of the original images, [b, 3 + heads, 4].

    The rows are LOST, LOST with centred features, each head of ``head_attention``, and the mean
    head.
    """

    resembling: NDArray[np.float64]
    """Share of the pairs of different patches in an image that have a positive similarity, [b]."""


def find_boxes(
    backbone: nn.Module, images: NativeImages, bench: Bench, settings: DiscoverySettings
) -> Iterator[FoundBoxes]:
    """Finds an object in each image, and yields the boxes of each batch.

    Args:
        backbone: transformer of ``poise.models.backbone``, on the device of the bench.
        images: images to search.
        bench: settings for passing the images through the backbone.
        settings: settings of object discovery.

    Raises:
        UntraceableError: the backbone has no blocks with keys or with attention.
        NotFiniteError: keys or attention are NaN or infinite.
    """
    start = 0
    for outputs, sizes in image_pass(ObjectFinder(backbone, settings), images, bench):
        stop = start + len(sizes)
        native = sizes.numpy()
        read_at = np.array([images.native_size.of((w, h)) for w, h in native.tolist()])
        scales = np.tile(native / read_at, 2)[:, None]  # [b, 1, 4]
        boxes = outputs["boxes"].cpu().numpy() * scales
        resembling = outputs["resembling"].double().cpu().numpy()
        yield FoundBoxes(images.sample_ids[start:stop], native, boxes, resembling)
        start = stop


class ObjectFinder(nn.Module):
    """Backbone that returns boxes of objects in place of features."""

    def __init__(self, backbone: nn.Module, settings: DiscoverySettings) -> None:
        super().__init__()
        self.backbone = backbone
        self.settings = settings
        self.patch_px = int(getattr(backbone, "patch_px", 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Finds boxes int64 [B, 3 + heads, 4] in normalised images [B, 3, h, w].

        The outputs also contain the means of keys and of attention. A mean that is not finite shows
        that some of the values are not finite.
        """
        last, features = self.last_block(images)
        attention = head_attention(last)
        lost = self.lost(features, images)
        both = np.stack([lost.boxes, self.lost(centred(features), images).boxes], axis=1)
        by_attention = self._attention_boxes(attention, images)
        return {
            "boxes": torch.cat([torch.from_numpy(both), by_attention], dim=1),
            "resembling": lost.degrees.float().mean(dim=1) / max(1, lost.degrees.shape[1] - 1),
            "keys": features.mean(dim=(1, 2)),
            "attention": attention.mean(dim=(1, 2)),
        }

    def last_block(self, images: Tensor) -> tuple[LastBlock, Tensor]:
        """Passes images through all blocks before the last.

        Returns:
            The last block with its inputs, and the features that LOST compares.
        """
        last = LastBlock(self.backbone, pad_to_patches(images, self.patch_px))
        return last, last.patches(self.settings.features)

    def lost(self, features: Tensor, images: Tensor) -> Discovery:
        """Applies LOST to the features of images."""
        height, width = images.shape[2:]
        settings = LostSettings(self.settings.k_patches, self.settings.bias)
        return discover(features, self.grid(images), self.patch_px, (width, height), settings)

    def grid(self, images: Tensor) -> Grid:
        """Returns the numbers of rows and columns of patches of padded images [B, 3, h, w]."""
        height, width = images.shape[2:]
        return -(-height // self.patch_px), -(-width // self.patch_px)

    def _attention_boxes(self, attention: Tensor, images: Tensor) -> Tensor:
        """Computes the box around the largest connected part of each mask: int64 [B, heads + 1, 4].

        The masks are those of each head, then the mask of the mean head.
        """
        height, width = images.shape[2:]
        masks = mass_masks(attention, self.settings.kept_mass).unflatten(2, self.grid(images))
        return torch.tensor(
            [
                [patch_box(largest_component(mask), self.patch_px, (width, height)) for mask in row]
                for row in masks.cpu().numpy()
            ]
        )
