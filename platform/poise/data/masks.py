"""List of encoded masks, which are decoded one at a time.

In: PNG files in memory. Out: masks uint8 [h, w]. Next: ``poise.data.annotations``.
"""

import io
from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from poise.config.errors import PoiseError, one_line


class Masks(Sequence[NDArray[np.uint8]]):
    """Sequence of masks. Memory contains their PNG files; access to a mask decodes it.

    Each mask is uint8 [h, w]: 0 is background, 1 to 254 are classes or objects, 255 is ignored.
    """

    def __init__(self, files: Sequence[bytes], origins: Sequence[str]) -> None:
        """Stores encoded masks, and the origin of each mask for error messages."""
        self._files, self._origins = files, origins

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> "Masks": ...
    def __getitem__(self, index: int | slice) -> "NDArray[np.uint8] | Masks":
        if isinstance(index, slice):
            return Masks(self._files[index], self._origins[index])
        try:
            with Image.open(io.BytesIO(self._files[index])) as image:
                return np.array(image, dtype=np.uint8)
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
            raise PoiseError(
                f"{self._origins[index]}: its mask cannot be decoded ({one_line(error, 200)}); "
                "run `poise data prepare` again"
            ) from None


def encode_mask(mask: NDArray[np.uint8]) -> bytes:
    """Encodes a mask uint8 [h, w] as a PNG file of one channel."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
