"""Settings of views: how they are cut from an image, and how their colours change."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, field_validator

from poise.config.base import AreaRange, NonNegative, Pixels, PositiveRange, Probability, Strict

Channels = tuple[float, float, float]
"""One number for each of red, green and blue."""

MIN_STD = 1e-3
"""Smallest standard deviation for normalisation, for pixel values in [0, 1]. It is a quarter of the
distance between two of 256 levels.
"""

_NORMALIZATION = (
    "must be 'imagenet', 'dataset', or the means and the standard deviations of red, green and "
    "blue in [0, 1]: [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]"
)


def _normalization(value: Any) -> Any:
    """Checks the setting ``normalization``: one of two words, or two lists of three numbers.

    Returns:
        The word, or the lists as tuples.
    """
    if value in ("imagenet", "dataset"):
        return value
    rows = read_means_and_stds(value)
    if rows is None:
        raise ValueError(_NORMALIZATION)
    return rows


def read_means_and_stds(value: Any) -> tuple[Channels, Channels] | None:
    """Reads the means and standard deviations of the channels; None if they are not valid.

    A standard deviation must be at least ``MIN_STD``, because images are divided by it.
    """
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    means, stds = map(_channels, value)
    if means is None or stds is None or min(stds) < MIN_STD:
        return None
    return means, stds


def _channels(row: Any) -> Channels | None:
    """Returns a list of three numbers from 0 to 1 as a tuple; None if the list is anything else."""
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

    Every view is an independently drawn crop. Its share of the image's area is drawn from
    ``*_scale``, and its aspect ratio log-uniformly from ``aspect_ratio``. The crop is resized to a
    square of ``*_px`` pixels with bicubic interpolation and randomly flipped. Then its colours
    change in this order: jitter, grayscale, blur, solarize.
    """

    global_count: int = Field(2, ge=1, le=16)
    """Number of global views of each image."""

    global_px: Pixels = 224
    """Side of global views, in pixels."""

    global_scale: AreaRange = (0.4, 1.0)
    """Range of the share of the image's area that a global view covers."""

    local_count: int = Field(8, ge=0, le=64)
    """Number of local views of each image."""

    local_px: Pixels = 96
    """Side of local views, in pixels."""

    local_scale: AreaRange = (0.05, 0.4)
    """Range of the share of the image's area that a local view covers."""

    aspect_ratio: PositiveRange = (3 / 4, 4 / 3)
    """Range of a crop's aspect ratio (width over height)."""

    flip_probability: Probability = 0.5
    """Probability of a horizontal flip."""

    jitter_probability: Probability = 0.8
    """Probability that brightness, contrast, saturation and hue change."""

    brightness: NonNegative = 0.4
    """Largest change of brightness. For 0.4, the factor is drawn from 0.6 to 1.4."""

    contrast: NonNegative = 0.4
    """Largest change of contrast, in the same form as `brightness`."""

    saturation: NonNegative = 0.2
    """Largest change of saturation, in the same form as `brightness`."""

    hue: float = Field(0.1, ge=0, le=0.5)
    """Largest change of hue, as a share of the colour circle."""

    grayscale_probability: Probability = 0.2
    """Probability that a view loses its colours."""

    blur_radius_px: PositiveRange = (0.1, 2.0)
    """Range of the standard deviation of the Gaussian blur, in pixels."""

    first_global_blur_probability: Probability = 1.0
    """Probability that the first global view is blurred."""

    other_global_blur_probability: Probability = 0.1
    """Probability that each other global view is blurred."""

    local_blur_probability: Probability = 0.5
    """Probability that a local view is blurred."""

    first_global_solarize_probability: Probability = 0.0
    """Probability that the first global view is solarized."""

    other_global_solarize_probability: Probability = 0.2
    """Probability that each other global view is solarized."""

    local_solarize_probability: Probability = 0.0
    """Probability that a local view is solarized."""

    solarize_threshold: int = Field(128, ge=0, le=256)
    """Threshold of solarization, from 0 to 255. Solarization inverts pixel values from this value
    on.
    """

    normalization: Normalization = "imagenet"
    """Mean and standard deviation of the channels: ImageNet's constants (`imagenet`), the values in
    the dataset's manifest (`dataset`), or two lists of three numbers in [0, 1], such as `[[0.5,
    0.5, 0.5], [0.5, 0.5, 0.5]]`.
    """

    @field_validator("brightness", "contrast", "saturation")
    @classmethod
    def _at_most_one(cls, strength: float) -> float:
        if strength > 1:
            raise ValueError("a jitter strength above 1 would draw negative factors")
        return strength

    @property
    def changes_colors(self) -> bool:
        """Whether the colours of any view may differ from those of its image."""
        return any(
            getattr(self, name) > 0
            for name in type(self).model_fields
            if name.endswith("_probability") and name != "flip_probability"
        )

    @property
    def count(self) -> int:
        """Number of views of each image."""
        return self.global_count + self.local_count
