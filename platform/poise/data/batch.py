"""Views of one training step: all data that an objective receives."""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

PHOTOMETRY_COLUMNS = (
    "brightness",  # factor; 1 changes nothing
    "contrast",  # factor; 1 changes nothing
    "saturation",  # factor; 1 changes nothing
    "hue",  # turn of the colour circle, in [-0.5, 0.5]
    "jitter_order",  # number of one of the 24 orders of the changes above; -1 means no jitter
    "grayscale",  # 0 or 1
    "blur_radius",  # standard deviation in pixels; 0 means no blur
    "solarize",  # 0 or 1
)
"""Names of the photometric parameters, in the order of the last axis of the parameter tensors."""


@dataclass(frozen=True)
class ViewBatch:
    """Views of one training step on one worker.

    The first axis is the view. Images are RGB and uint8, with their original colours. The
    photometric parameters (columns: ``PHOTOMETRY_COLUMNS``) describe the colour changes that were
    drawn for each view. The training device makes these changes.

    Labels are optional. Objectives without labels never read them. Objectives that learn from
    labels (``poise.objectives.labelled``) raise an error if the labels are missing.
    """

    global_views: Tensor  # uint8 [G, B, 3, H, W]
    global_photometry: Tensor  # float32 [G, B, P]
    local_views: Tensor  # uint8 [L, B, 3, h, w]; L may be 0
    local_photometry: Tensor  # float32 [L, B, P]
    sample_ids: Tensor  # int64 [B], row numbers in the dataset
    labels: Tensor | None = None  # int64 [B]: class numbers, -1 for images without a label

    def to(self, device: torch.device | str) -> Self:
        """Returns this batch with every tensor on ``device``."""
        moved = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return replace(self, **moved)

    def pin_memory(self) -> Self:
        """Returns this batch in page-locked memory, from which a GPU can copy while it computes."""
        pinned = {
            field.name: value.pin_memory()
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return replace(self, **pinned)

    def split(self, size: int) -> list[Self]:
        """Cuts the batch into parts of ``size`` images, in order. The last part may be smaller."""
        if size >= len(self):
            return [self]
        return [self._rows(slice(start, start + size)) for start in range(0, len(self), size)]

    def _rows(self, rows: slice) -> Self:
        chosen = {  # ids and labels have no axis of views
            field.name: value[rows] if value.ndim == 1 else value[:, rows]
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return replace(self, **chosen)

    def __len__(self) -> int:
        return len(self.sample_ids)
