"""Draws the outlines of objects as pixels. COCO has two forms of outlines.

In: polygons or run lengths of one object. Out: bool [h, w], true inside the object. Next:
``poise.data.sources.annotated.coco_masks``.

COCO's coordinates are continuous: pixel i reaches from i to i + 1. A pixel belongs to a polygon if
the centre of the pixel lies inside.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.data.sources.annotated.exif_orientation import Size

_LEAST_CORNERS = 3
_FIRST_CHARACTER = 48
_CHUNK_BITS = 5
_MORE, _SIGN, _CHUNK = 0x20, 0x10, 0x1F
_ABSOLUTE_RUNS = 3  # later runs are written as differences to the run two before


class BadShapeError(ValueError):
    """Error for an outline that is neither polygons nor run lengths. Its message is the reason."""


def draw_shape(segmentation: Any, size: Size) -> NDArray[np.bool_]:
    """Draws one object.

    Args:
        segmentation: COCO's field: polygons ``[[x0, y0, x1, y1, …], …]``, whose union is the
            object, or run lengths ``{"size": [h, w], "counts": [...] or text}``.
        size: width and height of the image.

    Returns:
        bool [h, w], true inside the object.

    Raises:
        BadShapeError: the field contains neither form, or run lengths of another size.
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
    """Fills a polygon row by row.

    In each row, pixels between the first and second crossing edge are inside, then those between
    the third and fourth, and so on.
    """
    try:
        points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise BadShapeError("a polygon is no list of pairs of numbers") from None
    if len(points) < _LEAST_CORNERS or not np.isfinite(points).all():
        raise BadShapeError(f"a polygon has {len(points)} corners, or a corner that is no number")
    height, width = found.shape
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    first, last = np.clip((np.floor(y0.min()), np.ceil(y0.max())), 0, height).astype(int)
    left, right = np.clip((np.floor(x0.min()), np.ceil(x0.max())), 0, width).astype(int)
    centers = np.arange(first, last) + 0.5
    is_above = y0 <= centers[:, None], y1 <= centers[:, None]  # [rows, edges]
    rows, edges = np.nonzero(is_above[0] != is_above[1])
    share = (centers[rows] - y0[edges]) / (y1[edges] - y0[edges])
    x = x0[edges] + share * (x1[edges] - x0[edges])
    columns = np.clip(np.ceil(x - 0.5), left, right).astype(int)  # the first centre to the right
    crossings = np.zeros((last - first, right - left + 1), dtype=np.bool_)
    np.logical_xor.at(crossings, (rows, columns - left), True)
    found[first:last, left:right] |= np.logical_xor.accumulate(crossings, axis=1)[:, :-1]


def _from_runs(segmentation: dict[str, Any], size: Size) -> NDArray[np.bool_]:
    """Decodes run lengths. Runs of 0 and runs of 1 alternate, column after column."""
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

    A number is written in groups of five bits, the lowest group first. Each group is one character,
    from code 48 on. A sixth bit in the character says that more groups follow. From the fourth
    number on, the file contains the difference to the number two places before. So written numbers
    may be negative; the fifth bit of the last group is the sign.

    Raises:
        BadShapeError: a character is not in the code, or the last number is incomplete.
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
