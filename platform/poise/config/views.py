"""Settings of views: how they are cut from an image, and how their colours change."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, field_validator

from poise.config.base import AreaRange, NonNegative, Pixels, PositiveRange, Probability, Strict

Channels = tuple[float, float, float]
"""A number for each of red, green and blue."""

MIN_STD = 1e-3
"""Least standard deviation to divide by: a quarter of one of 256 levels."""

_NORMALIZATION = (
    "must be 'imagenet', 'dataset', or the means and the standard deviations of red, green and "
    "blue in [0, 1]: [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]"
)


def _normalization(value: Any) -> Any:
    """Checks a word or two rows of three numbers; rows become tuples."""
    if value in ("imagenet", "dataset"):
        return value
    rows = [_channels(row) for row in value] if isinstance(value, list | tuple) else []
    if len(rows) != 2 or None in rows or min(rows[1] or (0,)) < MIN_STD:
        raise ValueError(_NORMALIZATION)
    return tuple(rows)


def _channels(row: Any) -> Channels | None:
    """Three numbers from 0 to 1; none where the row holds something else."""
    if not isinstance(row, list | tuple) or len(row) != 3:
        return None
    numbers = [each for each in row if isinstance(each, int | float) and each is not True]
    if len(numbers) != 3 or not all(math.isfinite(each) and 0 <= each <= 1 for each in numbers):
        return None
    red, green, blue = map(float, numbers)
    return red, green, blue


Normalization = Annotated[
    Literal["imagenet", "dataset"] | tuple[Channels, Channels],
    PlainValidator(_normalization),
    PlainSerializer(lambda value: value, return_type=Any),  # as it is: pydantic would warn of rows
]


class ViewsConfig(Strict):
    """Multi-crop views. The defaults are DINO's published augmentation (arXiv 2104.14294).

    Every view is an independently drawn crop. Its share of the area is drawn from ``*_scale`` and
    its aspect ratio log-uniformly from ``aspect_ratio``. It is resized to a square of ``*_px``
    pixels with bicubic interpolation and randomly flipped. Then its colours change in this order:
    jitter, grayscale, blur, solarize.
    """

    global_count: int = Field(2, ge=1, le=16)
    global_px: Pixels = 224
    global_scale: AreaRange = (0.4, 1.0)
    local_count: int = Field(8, ge=0, le=64)
    local_px: Pixels = 96
    local_scale: AreaRange = (0.05, 0.4)
    aspect_ratio: PositiveRange = (3 / 4, 4 / 3)
    flip_probability: Probability = 0.5

    jitter_probability: Probability = 0.8
    brightness: NonNegative = 0.4
    contrast: NonNegative = 0.4
    saturation: NonNegative = 0.2
    hue: float = Field(0.1, ge=0, le=0.5)
    grayscale_probability: Probability = 0.2

    blur_radius_px: PositiveRange = (0.1, 2.0)
    first_global_blur_probability: Probability = 1.0
    other_global_blur_probability: Probability = 0.1
    local_blur_probability: Probability = 0.5
    first_global_solarize_probability: Probability = 0.0
    other_global_solarize_probability: Probability = 0.2
    local_solarize_probability: Probability = 0.0
    solarize_threshold: int = Field(128, ge=0, le=256)

    normalization: Normalization = "imagenet"
    """Channel mean and std: ImageNet's constants, those in the dataset's manifest (`dataset`), or
    two lists of three numbers in [0, 1], such as `[[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]`."""

    @field_validator("brightness", "contrast", "saturation")
    @classmethod
    def _at_most_one(cls, strength: float) -> float:
        if strength > 1:
            raise ValueError("a jitter strength above 1 would draw negative factors")
        return strength

    @property
    def changes_colors(self) -> bool:
        """Whether the colours of any view may differ from the colours of its image."""
        return any(
            getattr(self, name) > 0
            for name in type(self).model_fields
            if name.endswith("_probability") and name != "flip_probability"
        )

    @property
    def count(self) -> int:
        """Views per image."""
        return self.global_count + self.local_count
