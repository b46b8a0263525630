"""Makes altered copies of an image: compressed, cropped, blurred, rotated or partly painted over.

In: an image and its sample id. Out: its copy. Next: ``poise.evaluation.neighbours.copy_detection``.

Random choices (place of a crop, angle, colour) depend only on the seed, the kind of copy and the
sample id. So an image has the same copies in every process and every run.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from poise.data.counter_random import uniforms

Draws = NDArray[np.float64]
"""Eight uniform random numbers in [0, 1) for one image and one kind of copy."""

_NUM_DRAWS = 8
_GROUND = (124, 116, 104)  # mean colour of photographs, fills the corners of a rotated image
_MIN_SIDE_PX = 8


@dataclass(frozen=True)
class MadeCopies:
    """Function that makes one kind of copy, for ``SquareImages``."""

    kind: str
    """Name of the kind in ``KINDS``."""

    seed: int = 0

    def __call__(self, image: Image.Image, sample_id: int) -> Image.Image:
        """Makes the copy of one RGB image. The copy may have another size."""
        address = list(KINDS).index(self.kind)
        return KINDS[self.kind](image, uniforms(self.seed, 0, sample_id, address, _NUM_DRAWS))


def _jpeg(quality: int) -> Callable[[Image.Image, Draws], Image.Image]:
    def compress(image: Image.Image, draws: Draws) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as opened:
            return opened.convert("RGB")

    return compress


def _crop(removed: float) -> Callable[[Image.Image, Draws], Image.Image]:
    def cut(image: Image.Image, draws: Draws) -> Image.Image:
        share = (1 - removed) ** 0.5
        width, height = (max(_MIN_SIDE_PX, round(share * side)) for side in image.size)
        left, top = int(draws[0] * (image.width - width)), int(draws[1] * (image.height - height))
        return image.crop((left, top, left + width, top + height))

    return cut


def _blur(image: Image.Image, draws: Draws) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(0.02 * min(image.size)))


def _rotate(image: Image.Image, draws: Draws) -> Image.Image:
    angle = (10 + 20 * draws[0]) * (1 if draws[1] < 0.5 else -1)
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=_GROUND)


def _overlay(image: Image.Image, draws: Draws) -> Image.Image:
    """Draws a bar over a fifth of the image, like a caption, and a disc, like a logo."""
    drawn = image.copy()
    width, height = image.size
    red, green, blue = (int(256 * draw) for draw in draws[:3])
    canvas = ImageDraw.Draw(drawn)
    top = 0 if draws[3] < 0.5 else round(0.8 * height)
    canvas.rectangle((0, top, width, top + round(0.2 * height)), fill=(red, green, blue))
    radius = 0.12 * min(width, height)
    x = radius + draws[4] * (width - 2 * radius)
    y = 0.3 * height + draws[5] * 0.4 * height
    corners = (x - radius, y - radius, x + radius, y + radius)
    canvas.ellipse(corners, fill=(255 - red, 255 - green, 255 - blue))
    return drawn


def _strong(image: Image.Image, draws: Draws) -> Image.Image:
    """Makes several changes at once, as in the ``strong`` part of Copydays."""
    turned = _rotate(_crop(0.4)(image, draws), draws[2:])
    return _jpeg(15)(_overlay(turned, draws[::-1]), draws)


KINDS: dict[str, Callable[[Image.Image, Draws], Image.Image]] = {
    "jpeg_30": _jpeg(30),
    "jpeg_5": _jpeg(5),
    "crop_50": _crop(0.5),
    "crop_80": _crop(0.8),
    "blur": _blur,
    "overlay": _overlay,
    "rotation": _rotate,
    "strong": _strong,
}
"""Functions that make copies, by the name of the kind.

The number in a name is the JPEG quality, or the percentage of the area that is cut away, as in
Copydays. A new kind must be added at the end, because the position selects the random numbers.
"""
