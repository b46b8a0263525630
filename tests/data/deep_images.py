"""Image files with more than eight bits per channel, written byte by byte where Pillow cannot."""

import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

GDAL_NODATA = 42113


def ramp(low: float, high: float, kind: str = "uint16") -> NDArray[Any]:
    """Evenly spaced values over an image of 24 by 40 pixels, the lowest first."""
    return np.linspace(low, high, 24 * 40).reshape(24, 40).astype(kind)


def grey_file(values: NDArray[Any], format: str = "TIFF", **options: Any) -> bytes:
    """One channel, as Pillow writes it."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format, **options)
    return buffer.getvalue()


def nodata_file(values: NDArray[Any], nodata: str) -> bytes:
    """A TIFF that declares, as GDAL does, which value means "no data"."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[GDAL_NODATA] = nodata
    return grey_file(values, tiffinfo=tags)


def png_file(values: NDArray[np.uint16], **chunks: bytes) -> bytes:
    """A PNG of 16 bits: [H, W] grey, or [H, W, C] with 2 (grey, alpha), 3 or 4 channels."""
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        *((name.encode(), body) for name, body in chunks.items()),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def tiff_file(
    values: NDArray[Any],
    order: Literal["<", ">"] = "<",
    extra: tuple[int, ...] = (),
    compressed: bool = False,
) -> bytes:
    """A TIFF of one strip, in either byte order.

    Args:
        values: [H, W] or [H, W, C], of any integer or float type.
        order: ``<`` or ``>``.
        extra: what channels beyond the third mean (1: premultiplied alpha, 2: alpha).
        compressed: deflated, which Pillow hands to libtiff.
    """
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    body = zlib.compress(body) if compressed else body
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries: dict[int, tuple[int, ...]] = {
        256: (width,),
        257: (height,),
        258: (8 * values.dtype.itemsize,) * channels,
        259: (8 if compressed else 1,),
        262: (1 if channels == 1 else 2,),
        273: (0,),  # where the pixels begin, set below
        277: (channels,),
        278: (height,),
        279: (len(body),),
        339: (sample_format,) * channels,
    }
    if extra:
        entries[338] = extra
    return _tiff(dict(sorted(entries.items())), body, order)


def _tiff(entries: dict[int, tuple[int, ...]], body: bytes, order: str) -> bytes:
    """Header, directory, values that do not fit into the directory, pixels."""
    beyond = 8 + 2 + 12 * len(entries) + 4
    pixels = beyond + sum(2 * len(v) for t, v in entries.items() if len(v) > 2)
    directory, long_values = struct.pack(order + "H", len(entries)), b""
    for tag, values in entries.items():
        values = (pixels,) if tag == 273 else values
        is_long = tag in (256, 257, 273, 278, 279)
        packed = struct.pack(order + ("I" if is_long else "H") * len(values), *values)
        directory += struct.pack(order + "HHI", tag, 4 if is_long else 3, len(values))
        if len(packed) > 4:
            directory += struct.pack(order + "I", beyond + len(long_values))
            long_values += packed
        else:
            directory += packed.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    header = mark + struct.pack(order + "I", 8)
    return header + directory + struct.pack(order + "I", 0) + long_values + body
