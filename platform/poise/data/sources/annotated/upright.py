"""Masks and boxes on the upright image, for images that their EXIF data turn.

In: masks and boxes as they were written. Out: the same on the upright image. Next:
``poise.data.sources.annotated.source``.

Most programs show an image upright; some show the pixels as they are stored. A mask or a box refers
to the image that its author saw. If the image is turned by 90 degrees, the size in the annotation
shows which image this was. Otherwise the user must say it.
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
"""x0, y0, x1, y1 in pixels; x1 and y1 are the first pixels outside."""

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
"""Transposition → the new place of a corner of pixels, in an image of the old size."""


@dataclass(frozen=True)
class StoredImage:
    """Size of an image as stored, and how it is turned."""

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
        image: image with its size.
        size: size of the image in the annotations; None if they do not contain it.
        origin: file of the annotations.
        command: its option ``annotated`` is ``"upright"``, ``"stored"`` or None.

    Raises:
        PoiseError: the size is that of another image, or it is unknown which pixels are meant.
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
    """Transposes a mask [h, w]."""
    return mask if turn is None else np.asarray(Image.fromarray(mask).transpose(turn))


def turned_box(box: Box, size: Size, turn: Image.Transpose | None) -> Box:
    """Transposes a box on an image of this size."""
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
