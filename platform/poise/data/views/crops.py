"""Draws the crop box of each view.

In: uniform numbers and image sizes. Out: integer boxes. Next: ``poise.data.views.cutter`` cuts
crops along these boxes.

The distribution is that of torchvision's ``RandomResizedCrop``. The boxes of all views of all
samples are drawn at once.
"""

import numpy as np
from numpy.typing import NDArray

TRIES = 10
DRAWS_PER_BOX = 2 * TRIES + 2
"""Number of uniform numbers for one box: an area and an aspect ratio for each candidate box, then
the position.
"""


def random_boxes(
    uniform: NDArray[np.float64],
    widths: NDArray[np.int64],
    heights: NDArray[np.int64],
    scale: tuple[float, float],
    aspect_ratio: tuple[float, float],
) -> NDArray[np.int64]:
    """Draws boxes of random area, shape and position.

    Up to ten times, an area is drawn uniformly from ``scale`` (a share of the image) and an aspect
    ratio log-uniformly from ``aspect_ratio``. The first box that fits into the image gets a
    uniformly drawn position. If no box fits, the result is the largest box in the centre with an
    allowed aspect ratio.

    Args:
        uniform: numbers in [0, 1), ``[..., DRAWS_PER_BOX]``.
        widths: image widths in pixels; their shape broadcasts against ``uniform.shape[:-1]``.
        heights: image heights in pixels, in the same shape.
        scale: lowest and highest share of the image's area.
        aspect_ratio: lowest and highest width / height.

    Returns:
        int64 ``[..., 4]``: left, top, width, height in pixels. Each box lies inside its image and
        is not empty.
    """
    widths, heights = (np.broadcast_to(side, uniform.shape[:-1]) for side in (widths, heights))
    box_width, box_height, fits = _sizes(uniform, widths, heights, scale, aspect_ratio)
    left = np.floor(uniform[..., -2] * (widths - box_width + 1))
    top = np.floor(uniform[..., -1] * (heights - box_height + 1))
    drawn = np.stack([left, top, box_width, box_height], axis=-1).astype(np.int64)
    return np.where(fits[..., None], drawn, _central_boxes(widths, heights, aspect_ratio))


def _sizes(
    uniform: NDArray[np.float64],
    widths: NDArray[np.int64],
    heights: NDArray[np.int64],
    scale: tuple[float, float],
    aspect_ratio: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Computes width and height of the first candidate box that fits, and whether any box fits."""
    low, high = np.log(aspect_ratio)
    area = (widths * heights)[..., None] * _between(uniform[..., :TRIES], *scale)
    ratio = np.exp(_between(uniform[..., TRIES : 2 * TRIES], low, high))
    tried_width = np.rint(np.sqrt(area * ratio))
    tried_height = np.rint(np.sqrt(area / ratio))
    fits: NDArray[np.bool_] = (
        (np.minimum(tried_width, tried_height) >= 1)
        & (tried_width <= widths[..., None])
        & (tried_height <= heights[..., None])
    )
    first = fits.argmax(axis=-1)[..., None]
    return (
        np.take_along_axis(tried_width, first, axis=-1)[..., 0],
        np.take_along_axis(tried_height, first, axis=-1)[..., 0],
        np.asarray(fits.any(axis=-1)),
    )


def _central_boxes(
    widths: NDArray[np.int64], heights: NDArray[np.int64], aspect_ratio: tuple[float, float]
) -> NDArray[np.int64]:
    """Computes the largest box of an allowed aspect ratio in the middle of each image."""
    narrowest, widest = aspect_ratio
    box_width = np.minimum(widths, np.rint(heights * widest)).astype(np.int64)
    box_height = np.minimum(heights, np.rint(widths / narrowest)).astype(np.int64)
    box_width, box_height = np.maximum(box_width, 1), np.maximum(box_height, 1)
    left, top = (widths - box_width) // 2, (heights - box_height) // 2
    return np.stack([left, top, box_width, box_height], axis=-1)


def _between(uniform: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Scales uniform numbers to [low, high)."""
    return low + uniform * (high - low)
