"""Draws the mask of an image from COCO's outlines of objects.

In: the outlines of an image's objects. Out: a mask uint8 [h, w] of classes. Next:
``poise.data.sources.annotated.source``.

A pixel of one class has the value of this class. A pixel in objects of different classes has the
value 255: evaluations ignore it. COCO does not say which object is in front, and torchvision's
reference for segmentation on COCO ignores such pixels too. A pixel that only a crowd covers also
has the value 255, because the file does not outline the single objects of a crowd.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.data.annotations import IGNORED
from poise.data.sources.annotated.coco_shapes import BadShapeError, draw_shape
from poise.data.sources.annotated.exif_orientation import Size
from poise.data.sources.options import PrepareCommand

MOST_CLASSES = IGNORED - 1


@dataclass(frozen=True)
class DrawnMask:
    """Mask that is drawn only when its image is read, by the process that reads the image."""

    origin: str
    size: Size
    shapes: bytes
    """JSON of [value, outline, id] for each object. The value of a crowd is ``IGNORED``."""

    @classmethod
    def of(cls, origin: str, size: Size, shapes: Iterable[tuple[int, bytes, int]]) -> "DrawnMask":
        """Makes a mask from the outlines of an image's objects. Each outline is JSON text."""
        pieces = (b"[%d,%s,%d]" % shape for shape in shapes)
        return cls(origin, size, b"[" + b",".join(pieces) + b"]")

    @property
    def key(self) -> str:
        """Returns text that changes if the outlines change."""
        return f"{self.size} {self.shapes!r}"

    def read(self, image: str, command: PrepareCommand) -> NDArray[np.uint8]:
        """Draws the mask.

        Args:
            image: path of the image, for errors.
            command: not used; ``MaskFile.read`` has the same arguments.

        Raises:
            PoiseError: an outline is not valid.
        """
        found = np.zeros(self.size[::-1], dtype=np.uint8)
        crowd = np.zeros(found.shape, dtype=np.bool_)
        for value, outline, number in json.loads(self.shapes):
            try:
                inside = draw_shape(outline, self.size)
            except BadShapeError as error:
                raise PoiseError(
                    f"{self.origin}: annotation {number} of '{image}': {error}; correct or remove "
                    "it"
                ) from None
            if value == IGNORED:
                crowd |= inside
            else:
                is_shared = inside & (found != 0) & (found != value)
                found[inside] = value
                found[is_shared] = IGNORED
        found[crowd & (found == 0)] = IGNORED
        return found
