"""The views of one training step: all that passes from the data to an objective."""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

PHOTOMETRY_COLUMNS = (
    "brightness",  # factor; 1 leaves the image as it is
    "contrast",  # factor; 1 leaves the image as it is
    "saturation",  # factor; 1 leaves the image as it is
    "hue",  # turn of the colour circle, in [-0.5, 0.5]
    "jitter_order",  # number of one of the 24 orders of the four above; -1 means no jitter
    "grayscale",  # 0 or 1
    "blur_radius",  # standard deviation in pixels; 0 is no blur
    "solarize",  # 0 or 1
)
"""Names of the photometric parameters, in the order of their last axis."""


@dataclass(frozen=True)
class ViewBatch:
    """One training step's views on one worker, view-major. Images are RGB and uint8.

    The colours are those of the file. The photometry parameters (columns: ``PHOTOMETRY_COLUMNS``)
    hold the changes that were drawn for each view; the training device applies them.

    Labels are optional. Objectives that learn without labels never read them; those that learn
    from labels (``poise.objectives.labelled``) refuse a batch that has none.
    """

    global_views: Tensor  # uint8 [G, B, 3, H, W]
    global_photometry: Tensor  # float32 [G, B, P]
    local_views: Tensor  # uint8 [L, B, 3, h, w]; L may be 0
    local_photometry: Tensor  # float32 [L, B, P]
    sample_ids: Tensor  # int64 [B], row numbers in the dataset
    labels: Tensor | None = None  # int64 [B]: class numbers, -1 where an image has none

    def to(self, device: torch.device | str) -> Self:
        """This batch with every tensor on ``device``."""
        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return replace(self, **moved)

    def pin_memory(self) -> Self:
        """This batch in page-locked memory, which a GPU copies from while it computes."""
        pinned = {
            field.name: value.pin_memory()
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return replace(self, **pinned)

    def __len__(self) -> int:
        return len(self.sample_ids)
