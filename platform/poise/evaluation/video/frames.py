"""Reads frames of videos at the size of the published protocol, and computes their patch features.

In: a backbone and a dataset of sequences. Out: features of each frame, in order. Next:
``poise.evaluation.video.report``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.data.dataset import ImageDataset
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.inference import Bench
from poise.evaluation.reading.native import NativeImages, NativeSize, Size

PUBLISHED_PX: Final = 480
"""Length of a frame's shorter side in the published protocol, in pixels."""

_LONGER_UNIT = 64  # the longer side of a published frame is a multiple of this


@dataclass(frozen=True)
class FrameSize(NativeSize):
    """Rule for the size at which a frame is read: whole patches without padding.

    As published, a frame is shrunk if its shorter side has at least 480 px. Then this side gets
    480 px, and the longer side is reduced to a multiple of 64 px. Smaller frames keep their size.
    At the end, both sides are reduced to whole patches. Frames are always resized and never
    cropped.
    """

    def of(self, size: Size) -> Size:
        """Computes the width and height at which a frame of this size is read."""
        shorter = self.shorter_px or min(PUBLISHED_PX, min(size))
        scale = shorter / min(size)
        fitted = self._whole(size, scale)
        while self.num_patches(fitted) > self.max_patches and max(fitted) > self.patch_px:
            scale *= min(0.99, math.sqrt(self.max_patches / self.num_patches(fitted)))
            fitted = self._whole(size, scale)
        return fitted

    def _whole(self, size: Size, scale: float) -> Size:
        sides = [max(1, round(side * scale)) for side in size]
        longer = sides.index(max(sides))
        if min(sides) >= PUBLISHED_PX:
            sides[longer] = max(min(sides), sides[longer] // _LONGER_UNIT * _LONGER_UNIT)
        width, height = (
            max(self.patch_px, side // self.patch_px * self.patch_px) for side in sides
        )
        return width, height


class PatchFeatures(nn.Module):
    """Backbone that returns a grid of its patch tokens after the last norm layer, L2-normalised."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes ``features`` [b, h, w, D] of images [b, 3, H, W]."""
        backbone: Any = self.backbone
        patches = backbone.tokens(images)[:, backbone.num_prefix_tokens :]
        columns = images.shape[3] // backbone.patch_px
        return {"features": F.normalize(patches, dim=2).unflatten(1, (-1, columns))}


def frame_features(
    backbone: nn.Module,
    dataset: ImageDataset,
    sample_ids: NDArray[np.int64],
    bench: Bench,
    frame_size: FrameSize,
) -> Iterator[Tensor]:
    """Yields the features [h, w, D] of frames, in the order of their sample ids.

    Args:
        backbone: transformer on the device of the bench.
        dataset: dataset to read.
        sample_ids: ids of the frames, int64 [n], in any order.
        bench: settings for passing frames through the backbone.
        frame_size: rule for the size at which each frame is read.
    """
    frames = NativeImages(dataset, frame_size, sample_ids=sample_ids)
    for outputs, _ in image_pass(PatchFeatures(backbone), frames, bench):
        yield from outputs["features"]
