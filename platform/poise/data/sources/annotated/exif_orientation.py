"""Turns masks and boxes to the upright image, if EXIF data turn the image.

In: masks and boxes as their files contain them. Out: masks and boxes of the upright image. Next:
``poise.data.sources.annotated.source``.

Most programs show an image upright, but some show the pixels as they are stored. A mask or a box
refers to the image that its author saw. If EXIF data turn the image by 90 degrees, the size in the
annotation shows which image this was. Otherwise the user must say which image this was
(``--annotated``).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from poise.config.errors import PoiseError
from poise.data.sources.options import PrepareCommand

Size = tuple[int, int]
"""Width and height in pixels."""

Box = tuple[int, int, int, int]
"""Box (x0, y0, x1, y1) in pixels; x1 and y1 are exclusive."""

_SWAPPING = {
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
}

_TURNED_POINT: dict[Image.Transpose, Callable[[int, int, Size], tuple[int, int]]] = {
    Image.Transpose.FLIP_LEFT_RIGHT: lambda x, y, size: (size[0] - x, y),
    Image.Transpose.FLIP_TOP_BOTTOM: lambda x, y, size: (x, size[1] - y),
    Image.Transpose.ROTATE_180: lambda x, y, size: (size[0] - x, size[1] - y),
    Image.Transpose.TRANSPOSE: lambda x, y, size: (y, x),
    Image.Transpose.ROTATE_90: lambda x, y, size: (y, size[0] - x),
    Image.Transpose.ROTATE_270: lambda x, y, size: (size[1] - y, x),
    Image.Transpose.TRANSVERSE: lambda x, y, size: (size[1] - y, size[0] - x),
}
"""Maps each transposition to a function that moves a pixel corner (x, y) in an image of the given
size.
"""


@dataclass(frozen=True)
class StoredImage:
    """Size of an image as stored, and the transposition that makes it upright."""

    path: str
    size: Size
    turn: Image.Transpose | None

    @property
    def upright_size(self) -> Size:
        """Returns the size of the upright image."""
        return self.size[::-1] if self.turn in _SWAPPING else self.size


def turn_of(
    image: StoredImage, size: Size | None, origin: str, command: PrepareCommand
) -> Image.Transpose | None:
    """Returns the transposition that moves annotations to the upright image.

    Args:
        image: image with its size as stored.
        size: size of the image according to the annotations; None if they do not contain it.
        origin: file of the annotations.
        command: its option ``annotated`` is ``"upright"``, ``"stored"`` or None.

    Raises:
        PoiseError: the size does not fit the image, or the annotations may refer to the stored or
            to the upright image.
    """
    reference = command.options.annotated
    fits_upright = size in (None, image.upright_size)
    fits_stored = size in (None, image.size)
    if image.turn is None or reference == "upright":
        fits, turn = fits_upright, None
    elif reference == "stored":
        fits, turn = fits_stored, image.turn
    else:
        if fits_upright and fits_stored:
            raise _unclear(image, origin, command)
        fits, turn = fits_upright or fits_stored, None if fits_upright else image.turn
    if not fits:
        raise _other_size(image, size, origin)
    return turn


def turned_mask(mask: NDArray[np.uint8], turn: Image.Transpose | None) -> NDArray[np.uint8]:
    """Applies a transposition to a mask [h, w]."""
    return mask if turn is None else np.asarray(Image.fromarray(mask).transpose(turn))


def turned_box(box: Box, size: Size, turn: Image.Transpose | None) -> Box:
    """Applies a transposition to a box in an image of this size."""
    if turn is None:
        return box
    place = _TURNED_POINT[turn]
    (x0, y0), (x1, y1) = place(box[0], box[1], size), place(box[2], box[3], size)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _other_size(image: StoredImage, size: Size | None, origin: str) -> PoiseError:
    found, wanted = ("{}×{}".format(*each or ()) for each in (size, image.upright_size))
    return PoiseError(
        f"{origin}: is for an image of {found} pixels, but '{image.path}' has {wanted}; "
        "annotate the image at its full size, or move one of the two away"
    )


def _unclear(image: StoredImage, origin: str, command: PrepareCommand) -> PoiseError:
    upright, stored = command.using(annotated="upright"), command.using(annotated="stored")
    return PoiseError(
        f"{origin}: '{image.path}' is turned by its EXIF block, and no size tells which pixels are "
        f"annotated; if the image was upright as most programs show it: `{upright}`; if it was as "
        f"stored: `{stored}`"
    )
