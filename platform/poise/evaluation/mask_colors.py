"""Draws masks over images, in colours that are easy to tell apart.

In: images, and masks whose values are numbers of objects or classes. Out: pictures. Next: the
pictures of ``poise.evaluation.video`` and ``poise.evaluation.segmentation``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from poise.data.annotations import IGNORED

_COLORS = (
    *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)),
    *((240, 228, 66), (86, 180, 233), (230, 159, 0), (128, 0, 0)),
)  # colours of Okabe and Ito, and dark red
_GREY = (128, 128, 128)
_OPACITY = 0.35
_CAPTION_PX = 12
_GAP_PX = 2


def paint(image: Image.Image, mask: NDArray[np.uint8]) -> Image.Image:
    """Paints the regions of a mask over an RGB image of the same size.

    The edge of a region has its full colour, and its inside has a light tint. Value 0 is not
    painted and value 255 (ignored) is grey. Colours repeat after eight values.
    """
    pixels = np.asarray(image, dtype=np.float32)
    colors = np.array([_color(number) for number in range(256)], dtype=np.float32)
    around = np.pad(mask, 1, mode="edge")
    rows, columns = (slice(1, 1 + side) for side in mask.shape)
    edge = (around[:-2, columns] != mask) | (around[2:, columns] != mask)
    edge |= (around[rows, :-2] != mask) | (around[rows, 2:] != mask)
    opacity = np.where(edge, 1.0, _OPACITY)[..., None] * (mask[..., None] > 0)
    painted = pixels + opacity * (colors[mask] - pixels)
    return Image.fromarray(np.rint(painted).astype(np.uint8))


def thumbnail_size(size: tuple[int, int], least_px: int, most_px: int) -> tuple[int, int]:
    """Computes the size of a thumbnail with the proportions of an image.

    Args:
        size: width and height of the image.
        least_px: smallest length of the longer side. Smaller images are enlarged by a whole factor.
        most_px: largest length of the longer side.
    """
    longer = max(size)
    scale: float = -(-least_px // longer) if longer < least_px else min(1.0, most_px / longer)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def grid(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    """Arranges pictures of one size in rows, each row with its caption above it."""
    width, height = rows[0][1][0].size
    columns = max(len(pictures) for _, pictures in rows)
    row_px = height + _CAPTION_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * (width + _GAP_PX), len(rows) * row_px), "white")
    draw: Any = ImageDraw.Draw(sheet)
    for row, (caption, pictures) in enumerate(rows):
        draw.text((2, row * row_px), caption, fill="black")
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (column * (width + _GAP_PX), row * row_px + _CAPTION_PX))
    return sheet


def _color(number: int) -> tuple[int, int, int]:
    return _GREY if number == IGNORED else _COLORS[(number - 1) % len(_COLORS)]
