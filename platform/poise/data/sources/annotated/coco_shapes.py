"""Outlines of objects in COCO's two forms, drawn as pixels.

In: polygons or run lengths of one object. Out: bool [h, w]. Next:
``poise.data.sources.annotated.coco_masks``.

COCO's coordinates are continuous: pixel i reaches from i to i + 1. A pixel belongs to a polygon if
at least half of it lies inside.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from poise.data.sources.annotated.upright import Size

_SUPERSAMPLING = 4
_LEAST_CORNERS = 3
_FIRST_CHARACTER = 48
_CHUNK_BITS = 5
_MORE, _SIGN, _CHUNK = 0x20, 0x10, 0x1F
_ABSOLUTE_RUNS = 3  # later runs are written as differences to the run two before


class BadShapeError(ValueError):
    """An outline that is neither polygons nor run lengths; the message is the reason."""


def draw_shape(segmentation: Any, size: Size) -> NDArray[np.bool_]:
    """Draws one object.

    Args:
        segmentation: COCO's field: polygons ``[[x0, y0, x1, y1, …], …]``, whose union is the
            object, or run lengths ``{"size": [h, w], "counts": [...] or text}``.
        size: width and height of the image.

    Returns:
        bool [h, w].

    Raises:
        BadShapeError: the field holds neither, or run lengths of another size.
    """
    if isinstance(segmentation, dict):
        return _from_runs(segmentation, size)
    if not isinstance(segmentation, list) or not segmentation:
        raise BadShapeError("an outline is neither polygons nor run lengths")
    found = np.zeros(size[::-1], dtype=np.bool_)
    for polygon in segmentation:
        _add_polygon(found, polygon)
    return found


def _add_polygon(found: NDArray[np.bool_], polygon: Any) -> None:
    """Draws at four times the size, inside the polygon's own box, and keeps half-filled pixels."""
    try:
        points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise BadShapeError("a polygon is no list of pairs of numbers") from None
    if len(points) < _LEAST_CORNERS or not np.isfinite(points).all():
        raise BadShapeError(f"a polygon has {len(points)} corners, or one that is no number")
    height, width = found.shape
    points = np.clip(points, (-width, -height), (2 * width, 2 * height))
    low = np.clip(np.floor(points.min(axis=0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)), 0, (width, height)).astype(int)
    columns, rows = high - low
    if not columns or not rows:
        return
    canvas = Image.new("L", (int(columns) * _SUPERSAMPLING, int(rows) * _SUPERSAMPLING))
    # Pillow counts from the centres of pixels.
    corners = [(float(x), float(y)) for x, y in (points - low) * _SUPERSAMPLING - 0.5]
    ImageDraw.Draw(canvas).polygon(corners, fill=1)
    fine = np.asarray(canvas).reshape(rows, _SUPERSAMPLING, columns, _SUPERSAMPLING)
    filled = fine.sum(axis=(1, 3)) * 2 >= _SUPERSAMPLING**2
    found[low[1] : high[1], low[0] : high[0]] |= filled


def _from_runs(segmentation: dict[str, Any], size: Size) -> NDArray[np.bool_]:
    """Decodes run lengths: zeros and ones in turn, down the columns."""
    height_width, counts = segmentation.get("size"), segmentation.get("counts")
    if height_width != [size[1], size[0]]:
        raise BadShapeError(
            f"run lengths are for {height_width} (height, width), the image has "
            f"{[size[1], size[0]]}"
        )
    runs: Any = decode_counts(counts) if isinstance(counts, str) else counts
    is_list = isinstance(runs, list) and all(type(run) is int and run >= 0 for run in runs)
    if not is_list or sum(runs) != size[0] * size[1]:
        raise BadShapeError("run lengths do not add up to the pixels of the image")
    values = np.arange(len(runs)) % 2 == 1
    flat: NDArray[np.bool_] = np.repeat(values, runs)
    return flat.reshape(size).T


def decode_counts(text: str) -> list[int]:
    """Decodes COCO's compressed run lengths.

    A number is written in chunks of five bits, the lowest first. Each is one character from code 48
    on, whose sixth bit says that more follow. From the fourth number on, the difference to the
    number two before it is written. So numbers may be negative; the fifth bit of the last chunk is
    the sign.

    Raises:
        BadShapeError: a character is outside the code, or the last number is cut off.
    """
    runs: list[int] = []
    value = shift = 0
    for code in (ord(character) - _FIRST_CHARACTER for character in text):
        if not 0 <= code < 2 * _MORE:
            raise BadShapeError("compressed run lengths hold a character outside the code")
        value |= (code & _CHUNK) << shift
        shift += _CHUNK_BITS
        if code & _MORE:
            continue
        if code & _SIGN:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) >= _ABSOLUTE_RUNS else 0))
        value = shift = 0
    if shift:
        raise BadShapeError("compressed run lengths end in the middle of a number")
    return runs
