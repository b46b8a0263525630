"""Computes overlaps of boxes for CorLoc, the share of images whose found box overlaps an object.

In: found boxes and true boxes. Out: overlaps and reference boxes. Next:
``poise.evaluation.objects.report``.

A box overlaps an object if their intersection over union is at least 0.5.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""Boxes x0, y0, x1, y1 in pixels, [k, 4]. x1 and y1 are exclusive."""


def best_overlaps(boxes: Boxes, truths: Boxes) -> NDArray[np.float64]:
    """Computes the largest overlap (intersection over union) of each box with any true box.

    Range: 0 (no overlap with an object) to 1 (equal to an object's box). From 0.5 on, CorLoc counts
    an object as found. For boxes in whole pixels the ratio is exact, so exactly 0.5 is also
    counted.

    Args:
        boxes: boxes [k, 4].
        truths: true boxes [m, 4] with m at least 1.

    Returns:
        Overlaps float64 [k].
    """
    low = np.maximum(boxes[:, None, :2], truths[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truths[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    united = _areas(boxes)[:, None] + _areas(truths)[None] - shared
    best: NDArray[np.float64] = (shared / np.maximum(united, 1e-9)).max(axis=1)
    return best


def reference_boxes(
    sizes: Sequence[NDArray[np.int64]], truths: Sequence[Boxes]
) -> NDArray[np.float64]:
    """Computes the boxes of two guesses that do not look at the image.

    The first guess is a box in the centre. Its sides are the mean sides of the true boxes, as
    shares of the image. Its size comes from the truth, so no fixed box can be much better. The
    second guess is the whole image.

    Args:
        sizes: width and height of each of n images.
        truths: true boxes of each image.

    Returns:
        Boxes float64 [n, 2, 4].
    """
    shares = [(each[:, 2:] - each[:, :2]) / size for size, each in zip(sizes, truths, strict=True)]
    half = np.concatenate(shares).mean(axis=0) / 2
    relative = np.array([[*(0.5 - half), *(0.5 + half)], [0, 0, 1, 1]])
    guesses: NDArray[np.float64] = relative * np.tile(np.stack(sizes), 2)[:, None]
    return guesses


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return areas
