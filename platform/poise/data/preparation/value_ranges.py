"""Finds the range of values that a dataset's images of more than eight bits really use.

In: the pixel values of each such image. Out: one ``ValueRange`` for each number type of the files
(called container), and sentences that explain the ranges. Next: ``poise.data.preparation.ingest``
writes the ranges into the manifest. Every image is decoded with these ranges.

The lowest and highest value of an image are measured without pixels that have no value, without
fill values (numbers that mean "no data"), and without the lowest and highest thousandth of the
pixels. The range of the dataset is measured without the lowest and highest hundredth of the images.
If the images use at least a quarter of a usual range, the dataset gets this usual range. Usual
ranges are 8, 10, 12, 14 or 16 bits for integers, and 0 to 1 or 0 to 255 for floats. Because all
images have the same range, images of one camera keep their relative brightness.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from poise.config.base import Strict
from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.data.manifest import Bounds, ValueRange
from poise.data.views.bit_depth import DeepImage

_PIXELS_LEFT_OUT = 1e-3
_IMAGES_LEFT_OUT = 1e-2
_LEAST_FILLED = 1 / 4  # share of a camera's depth that images must fill to get this depth
_DARK = 1 / 16  # share of the range: 16 of 256 levels
_CAMERA_BITS = (8, 10, 12, 14, 16)
_FLOAT_RANGES: tuple[Bounds, ...] = ((0.0, 1.0), (0.0, 255.0))
_FILL_VALUES = (0.0, -999.0, -9999.0, -99999.0, -32767.0, -32768.0, -2147483648.0, 65535.0)
_LARGEST_VALUE = 1e19  # larger floats mean "no data": 1e20, 9.97e36 and 3.4e38 are usual


class Extent(Strict):
    """Lowest and highest value that one image uses."""

    row: int
    """Row of the image in its shard."""

    container: str
    low: float | None
    high: float | None
    """Highest value. ``low`` and ``high`` are None if all pixels are fill values or transparent."""


def extent_of(row: int, image: DeepImage) -> Extent:
    """Measures the lowest and highest value of an image.

    Fill values are left out, and so are the lowest and highest thousandth of the pixels.
    """
    values = _without_fill(image.measurable())
    if not len(values):
        return Extent(row=row, container=image.container, low=None, high=None)
    last = len(values) - 1
    first = int(np.ceil(_PIXELS_LEFT_OUT * last))
    low, high = np.partition(values, (first, last - first))[[first, last - first]]
    return Extent(row=row, container=image.container, low=float(low), high=float(high))


def decide_ranges(extents: Iterable[Extent], given: Bounds | None) -> dict[str, ValueRange]:
    """Chooses one range for each container (number type) that occurs.

    Args:
        extents: lowest and highest values of all images of more than eight bits.
        given: range that the user gave; it replaces the measured range.
    """
    by_container: dict[str, list[Extent]] = {}
    for extent in extents:
        by_container.setdefault(extent.container, []).append(extent)
    return {name: _range(name, found, given) for name, found in sorted(by_container.items())}


def check_range(given: Bounds | None) -> Bounds | None:
    """Checks the range that the user gave, and returns it.

    Raises:
        PoiseError: an end is not finite, or the low end is not below the high end.
    """
    if given is not None and not (np.isfinite(given).all() and given[0] < given[1]):
        raise PoiseError(
            f"--range {given[0]:g} {given[1]:g}: give two finite numbers, the lower one first, "
            "as in `--range 0 4095`"
        )
    return given


def range_sentences(ranges: dict[str, ValueRange]) -> Iterator[str]:
    """Yields a line for each value range: its bounds, its origin and the number of its images."""
    for container, decided in ranges.items():
        yield f"{_decision(container, decided)} ({counted(decided.num_images, 'image')})"


def range_warnings(ranges: dict[str, ValueRange]) -> Iterator[str]:
    """Yields a warning, with the fix, for each value range that may be wrong."""
    for container, decided in ranges.items():
        if decided.num_dark:
            yield (
                f"nearly black: {counted(decided.num_dark, 'image')} below a sixteenth of the "
                f"range of {container}; if that is wrong, give the range with --range LOW HIGH, or "
                "prepare them as a dataset of their own"
            )
        if decided.num_clipped:
            yield (
                f"clipped: {counted(decided.num_clipped, 'image')} with values outside the range "
                f"of {container}; if that is wrong, give a wider one with --range LOW HIGH"
            )


def _without_fill(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns the values without fill values.

    A fill value means "no data" and is far from all other values.
    """
    if values.dtype.kind == "f":
        values = values[np.abs(values) < _LARGEST_VALUE]
    for is_lower in (True, False, True):  # after one fill value is removed, another may be the end
        if not len(values):
            break
        end = values.min() if is_lower else values.max()
        if float(end) not in _FILL_VALUES:
            continue
        rest = values[values != end]
        if not len(rest):
            return rest if end < 0 else values
        near, far = (rest.min(), rest.max()) if is_lower else (rest.max(), rest.min())
        gap, span = abs(float(near) - float(end)), abs(float(far) - float(near))
        if gap > span and (span > 0 or end < 0):
            values = rest
    return values


def _range(container: str, extents: Sequence[Extent], given: Bounds | None) -> ValueRange:
    pairs = [(e.low, e.high) for e in extents if e.low is not None and e.high is not None]
    ends = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    low, high = given or _measured(container, ends)
    lows, highs = ends.T
    is_dark = (highs - low < _DARK * (high - low)) & (highs > lows)
    return ValueRange(
        low=low,
        high=high,
        is_given=given is not None,
        num_images=len(extents),
        num_dark=int(is_dark.sum()),
        num_clipped=int(((lows < low) | (highs > high)).sum()),
    )


def _measured(container: str, ends: NDArray[np.float64]) -> Bounds:
    """Computes the range of a dataset from its images' lowest and highest values [N, 2]."""
    if not len(ends):
        return 0.0, 1.0  # nothing but fill values
    low = float(np.quantile(ends[:, 0], _IMAGES_LEFT_OUT, method="lower"))
    high = float(np.quantile(ends[:, 1], 1 - _IMAGES_LEFT_OUT, method="higher"))
    usual = _FLOAT_RANGES if container == "float32" else [(0.0, 2.0**b - 1) for b in _CAMERA_BITS]
    for lowest, highest in usual:
        is_inside = lowest <= low and high <= highest
        if is_inside and (high == low or high - low >= _LEAST_FILLED * (highest - lowest)):
            return lowest, highest
    if low < high:
        return low, high
    return (low, 0.0) if low < 0 else (0.0, low)  # every image is constant


def _decision(container: str, decided: ValueRange) -> str:
    files = "float files" if container == "float32" else f"{container.lstrip('uint')}-bit files"
    low, high = f"{decided.low:g}", f"{decided.high:.15g}"
    if decided.is_given:
        return f"values in {files}: scaled from {low} to {high}, as --range says"
    bits = {2.0**bits - 1: bits for bits in _CAMERA_BITS}.get(decided.high)
    if bits and decided.low == 0 and container != "float32":
        return f"{bits}-bit values in {files}: scaled by {high}"
    if (decided.low, decided.high) in _FLOAT_RANGES:
        return f"values from {low} to {high} in {files}: scaled by {high}"
    return f"values from {low} to {high} in {files}: scaled from that range"
