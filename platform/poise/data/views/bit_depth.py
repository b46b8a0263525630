"""Reads images of more than eight bits per channel, and scales them to eight bits.

In: an opened file. Out: a ``DeepImage``, which contains the numbers of the file and can be scaled
to an RGB image. Next: ``poise.data.views.decode`` returns the RGB image; ``poise.data.preparation``
measures the range of values that a dataset uses.

A file says how many bits are stored for a number, but not how many of them are used. Cameras and
scanners store 10, 12 or 14 bits in numbers of 16 bits. So the range is a property of the dataset,
and the dataset's manifest contains it.
"""

import io
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, SAMPLEFORMAT, TiffImageFile

from poise.data.manifest import Bounds

GREY_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes for images of one channel with more than eight bits."""

_COLOUR_LAYOUTS = ("RGB", "RGBX", "RGBA", "RGBa", "LA")  # before ";16" in Pillow's raw modes
_GDAL_NODATA = 42113  # TIFF tag: one number as text
_WHITE = 255.0


class NoValueError(ValueError):
    """Error for an image in which no pixel has a value. Its message says why."""


@dataclass(frozen=True)
class DeepImage:
    """One image with the numbers of its file."""

    container: str
    """Number type in the file: ``uint16``, ``int16``, ``uint32``, ``int32`` or ``float32``."""

    values: NDArray[Any]
    """Values [H, W] if the image is grey, [H, W, 3] if it is RGB."""

    opacity: NDArray[np.float32] | None = None
    """Opacity [H, W] from 0 to 1; None if the image is opaque."""

    holes: NDArray[np.bool_] | None = None
    """Mask [H, W] of pixels without a value (NaN, infinite or nodata); None if all pixels have a
    value.
    """

    def to_rgb(self, bounds: Bounds) -> Image.Image:
        """Converts the image to RGB with eight bits.

        Args:
            bounds: value that becomes 0 and value that becomes 255. Values outside are clipped.
                Pixels without a value become black, and transparent pixels become white.
        """
        levels = _scaled(self.values, bounds)
        if self.holes is not None:
            levels[self.holes] = 0
        if self.opacity is not None:
            opacity = self.opacity if levels.ndim == 2 else self.opacity[..., None]
            levels = np.rint(levels * opacity + _WHITE * (1 - opacity)).astype(np.uint8)
        return Image.fromarray(levels).convert("RGB")

    def measurable(self) -> NDArray[Any]:
        """Returns the values of all visible pixels that have a value, in one dimension."""
        seen = np.ones(self.values.shape[:2], np.bool_)
        if self.holes is not None:
            seen &= ~self.holes
        if self.opacity is not None:
            seen &= self.opacity > 0
        return self.values[seen].ravel()


def read_grey(image: Image.Image) -> DeepImage:
    """Reads the numbers of a loaded image in one of ``GREY_MODES``.

    Raises:
        NoValueError: every pixel is NaN, infinite or nodata.
    """
    values = _in_container(image)
    nodata = _nodata(image)
    holes = np.zeros(values.shape, np.bool_)
    if values.dtype.kind == "f":
        holes |= ~np.isfinite(values)
    if nodata is not None:
        holes |= values == (values.dtype.type(nodata) if values.dtype.kind == "f" else nodata)
    if holes.all():
        raise NoValueError("no pixel has a value: all are NaN, infinite or nodata")
    transparent = image.info.get("transparency")
    opacity = None
    if isinstance(transparent, int):  # PNG: one grey level means transparency
        opacity = (values != transparent).astype(np.float32)
    return DeepImage(str(values.dtype), values, opacity, holes if holes.any() else None)


def is_deep_colour(image: Image.Image) -> bool:
    """Returns True if an opened image has several channels of 16 bits.

    Pillow's own decoding keeps only 8 of the 16 bits.
    """
    layout, is_deep, _ = _raw_mode(image).partition(";16")
    return image.format in ("PNG", "TIFF") and bool(is_deep) and layout in _COLOUR_LAYOUTS


def read_colour(data: bytes) -> DeepImage:
    """Reads the numbers of a file whose image has several channels of 16 bits.

    Pillow unpacks only one byte of each number. A second pass in the opposite byte order unpacks
    the other byte.
    """
    with Image.open(io.BytesIO(data)) as image:
        transparent = image.info.get("transparency")
        layout, _, order = _raw_mode(image).partition(";16")
    if layout == "LA":  # four bytes per pixel, which Pillow reads in one pass
        both = _unpacked(data, "RGBA").astype(np.uint16)
        numbers = both[..., ::2] << 8 | both[..., 1::2]
        grey, alpha = np.moveaxis(numbers, -1, 0)
        return DeepImage("uint16", np.repeat(grey[..., None], 3, axis=-1), _opacity(alpha))
    straight = "RGBA" if layout == "RGBa" else layout  # Pillow would divide the bytes by alpha
    high = _unpacked(data, f"{straight};16{order}").astype(np.uint16)
    numbers = high << 8 | _unpacked(data, f"{straight};16{_opposite(order)}")
    values, opacity = numbers[..., :3], None
    if numbers.shape[-1] == 4:
        opacity = _opacity(numbers[..., 3])
    if layout == "RGBa" and opacity is not None:
        values = np.minimum(values / np.maximum(opacity, 1e-6)[..., None], 65535).astype(np.uint16)
    if isinstance(transparent, tuple):  # PNG: one colour means transparency
        opacity = (values != np.array(transparent)).any(axis=-1).astype(np.float32)
    return DeepImage("uint16", np.ascontiguousarray(values), opacity)


def _in_container(image: Image.Image) -> NDArray[Any]:
    """Converts the pixels to the number type in the file, because Pillow widens some types."""
    values = np.asarray(image)
    if values.dtype.itemsize == 2 or image.format == "PPM":  # Pillow scales PPM to 16 bits
        return values.astype(np.uint16)
    if isinstance(image, TiffImageFile) and image.mode == "I":
        bits, signed = image.tag_v2[BITSPERSAMPLE][0], image.tag_v2.get(SAMPLEFORMAT, (1,))[0] == 2
        if bits == 16:
            return values.astype(np.int16 if signed else np.uint16)
        return values if signed else values.view(np.uint32)
    return values


def _nodata(image: Image.Image) -> float | None:
    """Returns the value that means "no data" in this file; None if the file has no such value."""
    if not isinstance(image, TiffImageFile):
        return None
    try:
        return float(str(image.tag_v2[_GDAL_NODATA]).strip("\0 "))
    except (KeyError, ValueError):
        return None


def _scaled(values: NDArray[Any], bounds: Bounds) -> NDArray[np.uint8]:
    """Scales values to uint8. The lower bound becomes 0 and the upper bound 255."""
    if values.dtype.itemsize == 2:  # a table of all 65,536 values is faster, and exact
        table = np.arange(2**16, dtype=np.uint16)
        return _levels(table.view(values.dtype), bounds)[values.view(np.uint16)]
    return _levels(values, bounds)


def _levels(values: NDArray[Any], bounds: Bounds) -> NDArray[np.uint8]:
    low, high = bounds
    clipped = np.nan_to_num(np.clip(values.astype(np.float64), low, high), nan=low)
    levels: NDArray[np.uint8] = np.rint((clipped - low) * (255.0 / (high - low))).astype(np.uint8)
    return levels


def _opacity(alpha: NDArray[Any]) -> NDArray[np.float32] | None:
    """Converts alpha to opacity from 0 to 1; None if every pixel is opaque."""
    return None if (alpha == 2**16 - 1).all() else (alpha / (2.0**16 - 1)).astype(np.float32)


def _raw_mode(image: Image.Image) -> str:
    """Returns Pillow's name (raw mode) for the layout of the file's bytes."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0].args
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _unpacked(data: bytes, raw_mode: str) -> NDArray[np.uint8]:
    """Unpacks the file's pixels in another raw mode with the same size: uint8 [H, W, C]."""
    with Image.open(io.BytesIO(data)) as image:
        image.tile = [
            tile._replace(
                args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode
            )
            for tile in image.tile
        ]
        return np.array(image)


def _opposite(order: str) -> str:
    """Returns the opposite byte order, as a letter of Pillow's raw modes."""
    native = "L" if sys.byteorder == "little" else "B"
    return {"L": "B", "B": "L"}[native if order == "N" else order]
