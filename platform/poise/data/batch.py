"""What crosses from data to objective, and nothing else does."""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

PHOTOMETRY_COLUMNS = (
    "brightness",  # factor; 1 leaves the image as it is
    "contrast",  # factor
    "saturation",  # factor
    "hue",  # turn in [-0.5, 0.5]
    "jitter_order",  # which of the 24 orders of the four above; -1 is no jitter
    "grayscale",  # 0 or 1
    "blur_radius",  # standard deviation in pixels; 0 is no blur
    "solarize",  # 0 or 1
)
"""The last axis of the photometric parameters, in this order."""


@dataclass(frozen=True)
class ViewBatch:
    """One training step's views on one worker, view-major. Images are RGB and uint8.

    The colours are as in the file: what was drawn for each view is in the photometry parameters
    (columns: ``PHOTOMETRY_COLUMNS``), to be applied on the training device.
    """

    global_views: Tensor  # uint8 [G, B, 3, H, W]
    global_photometry: Tensor  # float32 [G, B, P]
    local_views: Tensor  # uint8 [L, B, 3, h, w]; L may be 0
    local_photometry: Tensor  # float32 [L, B, P]
    sample_ids: Tensor  # int64 [B], row numbers in the dataset
    labels: Tensor | None = None  # int64 [B], -1 where unknown; only labelled objectives read it

    def to(self, device: torch.device | str) -> Self:
        """This batch with every tensor on ``device``."""
        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return replace(self, **moved)

    def pin_memory(self) -> Self:
        """This batch in page-locked memory, so that copies to a GPU overlap with work."""
        pinned = {
            field.name: value.pin_memory()
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return replace(self, **pinned)

    def __len__(self) -> int:
        return len(self.sample_ids)
