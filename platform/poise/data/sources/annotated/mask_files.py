"""Reads mask files, which contain one whole number for every pixel of an image.

In: an image file with a palette or in grey. Out: a mask uint8 [h, w]. Next:
``poise.data.sources.annotated.source``.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from poise.config.errors import PoiseError, one_line
from poise.data.sources.options import PrepareCommand
from poise.data.sources.safe_names import LONGEST_ERROR, shown
from poise.data.views.decode import MAX_PIXELS

MASK_SUFFIXES = frozenset([".png", ".bmp", ".gif", ".tif", ".tiff", ".pgm"])
"""Suffixes of image formats that store every value without loss."""

_ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
_WHITE = 255
_MIDDLE = 128


@dataclass(frozen=True)
class MaskFile:
    """File with the mask of one image."""

    path: str
    stamp: str  # size and time of change of the file

    @property
    def origin(self) -> str:
        """Returns the path of the file, for errors."""
        return shown(self.path)

    @property
    def key(self) -> str:
        """Returns text that changes if the file changes."""
        return f"{Path(self.path).name} {self.stamp}"

    def read(self, image: str, command: PrepareCommand) -> NDArray[np.uint8]:
        """Reads the mask.

        Args:
            image: path of the image, for errors.
            command: its option ``white`` gives the meaning of 255.

        Raises:
            PoiseError: the file is damaged, has colours or values above 255, or the meaning of 255
                is unknown.
        """
        values = self._values(image)
        white = command.options.white
        if white == "object" and values.max() > 1:  # values 0 and 1 need no conversion
            return (values >= _MIDDLE).astype(np.uint8)
        if (
            white is None
            and values.max() == _WHITE
            and not ((values > 0) & (values < _WHITE)).any()
        ):
            raise PoiseError(
                f"{self.origin} (mask of '{image}'): holds no values but 0 and 255; if 255 is an "
                f"object: `{command.using(white='object')}`; if 255 is to be ignored: "
                f"`{command.using(white='ignore')}`"
            )
        return values

    def _values(self, image: str) -> NDArray[np.uint8]:
        where = f"{self.origin} (mask of '{image}')"
        try:
            with Image.open(Path(self.path)) as opened:
                mode = opened.mode
                if opened.width * opened.height > MAX_PIXELS:
                    raise PoiseError(f"{where}: over {MAX_PIXELS / 1e6:.0f} megapixels")
                values = np.array(opened) if mode in _ONE_CHANNEL else None
        except PoiseError:
            raise
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
            raise PoiseError(
                f"{where}: cannot be read ({one_line(error, LONGEST_ERROR)}); save it again as PNG"
            ) from None
        if values is None:
            raise PoiseError(
                f"{where}: has colours (mode {mode}) and no palette, so they number nothing; save "
                "it with one channel: 0 is background, 1 to 254 are classes or objects, 255 is "
                "ignored"
            )
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > _WHITE:
            raise PoiseError(
                f"{where}: holds the value {high if high > _WHITE else low}; a mask's values are 0 "
                "to 255, so number the classes or objects anew"
            )
        return values.astype(np.uint8)
