"""Boxes of one image, in whole pixels and inside the image.

In: corners of boxes, as a file contains them. Out: ``ImageBoxes`` on the upright image. Next:
``poise.data.sources.annotated.source``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from poise.config.errors import PoiseError
from poise.data.sources.annotated.exif_orientation import (
    Box,
    Size,
    StoredImage,
    turn_of,
    turned_box,
)
from poise.data.sources.options import PrepareCommand

_SLACK_PX = 1
"""Number of pixels that a box may extend outside its image. Boxes extend outside because programs
count pixels from 0 or from 1, and round differently.
"""


@dataclass(frozen=True)
class ImageBoxes:
    """Boxes of one image, as an annotation file describes them."""

    origin: str  # the file, for errors
    size: Size | None  # size of the image according to the file
    boxes: tuple[Box, ...]
    labels: tuple[int, ...]
    difficult: tuple[bool, ...]
    truncated: tuple[bool, ...]

    def inside(self, size: Size, image: str) -> "ImageBoxes":
        """Cuts boxes that extend at most one pixel outside the image at its edges.

        Raises:
            PoiseError: a box extends more than one pixel outside, or contains no pixel.
        """
        return replace(self, boxes=tuple(_inside(b, size, self.origin, image) for b in self.boxes))

    def on(self, image: StoredImage, command: PrepareCommand) -> "ImageBoxes":
        """Converts the boxes to coordinates of the upright image.

        Raises:
            PoiseError: see ``inside`` and ``turn_of``.
        """
        if not self.boxes:
            return self
        turn = turn_of(image, self.size, self.origin, command)
        size = image.upright_size if turn is None else image.size
        found = self.inside(size, image.path)
        return replace(found, boxes=tuple(turned_box(box, size, turn) for box in found.boxes))


def rounded(corners: Sequence[float]) -> Box:
    """Rounds x0, y0, x1, y1 to whole pixels. A half is rounded to the even number."""
    x0, y0, x1, y1 = (round(corner) for corner in corners)
    return x0, y0, x1, y1


def is_empty(box: Box) -> bool:
    """Returns True if a box contains no pixel."""
    return box[0] >= box[2] or box[1] >= box[3]


def _inside(box: Box, size: Size, origin: str, image: str) -> Box:
    width, height = size
    x0, y0, x1, y1 = box
    outside = max(-x0, -y0, x1 - width, y1 - height)
    cut = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if is_empty(cut):
        raise PoiseError(
            f"{origin}: the box {_shown(box)} holds no pixel of '{image}' ({width}×{height}); "
            "correct or remove it"
        )
    if outside > _SLACK_PX:
        raise PoiseError(
            f"{origin}: the box {_shown(box)} reaches outside '{image}' ({width}×{height}) by "
            f"{outside} pixels; correct it (a box may reach 1 pixel outside)"
        )
    return cut


def _shown(box: Box) -> str:
    return f"x {box[0]} to {box[2]}, y {box[1]} to {box[3]}"
