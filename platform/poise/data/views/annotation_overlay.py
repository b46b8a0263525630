"""Draws an image's mask and boxes over the image, so that users can check them.

In: a decoded image and its annotations. Out: an RGB image. Next: ``poise.data.views.preview``.
"""

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from poise.data.annotations import IGNORED, Annotations

_GOLDEN_RATIO = 0.618033988749895  # of a turn: hues of consecutive numbers lie far apart
_MASK_OPACITY = 0.55
_IGNORED_COLOR = (128, 128, 128)


def palette() -> NDArray[np.uint8]:
    """Returns a colour for every mask value: uint8 [256, 3]. Ignored pixels are grey."""
    hues = (np.arange(256) * _GOLDEN_RATIO) % 1
    colors = [colorsys.hsv_to_rgb(hue, 1.0, 1.0) for hue in hues.tolist()]
    found: NDArray[np.uint8] = np.rint(np.array(colors) * 255).astype(np.uint8)
    found[IGNORED] = _IGNORED_COLOR
    return found


def overlay(image: Image.Image, annotations: Annotations, place: int, side: int) -> Image.Image:
    """Draws an image's mask and boxes over the image.

    Args:
        image: upright RGB image in full size.
        annotations: annotations of some images; kinds that are missing are not drawn.
        place: index of the image among these images.
        side: largest side of the picture in pixels; smaller images keep their size.

    Returns:
        An RGB picture. A mask value has the same colour in all pictures. A box has the colour of
        its label.
    """
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    shown = image.resize(size, Image.Resampling.BICUBIC)
    colors = palette()
    if annotations.masks:
        mask = Image.fromarray(annotations.masks[place]).resize(size, Image.Resampling.NEAREST)
        shown = _tinted(shown, np.asarray(mask), colors)
    pen = ImageDraw.Draw(shown)
    if annotations.boxes:
        labels = annotations.box_labels[place].tolist()
        for box, label in zip(annotations.boxes[place].tolist(), labels, strict=True):
            x0, y0, x1, y1 = (round(edge * scale) for edge in box)
            corners = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
            pen.rectangle(corners, outline=tuple(colors[(label + 1) % IGNORED].tolist()))
    return shown


def _tinted(image: Image.Image, mask: NDArray[np.uint8], colors: NDArray[np.uint8]) -> Image.Image:
    pixels = np.asarray(image).astype(np.float32)
    inside = mask > 0
    mixed = (1 - _MASK_OPACITY) * pixels[inside] + _MASK_OPACITY * colors[mask[inside]]
    pixels[inside] = mixed
    return Image.fromarray(np.rint(pixels).astype(np.uint8))
