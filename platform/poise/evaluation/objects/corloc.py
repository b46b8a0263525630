"""CorLoc: the share of images in which a box meets an object.

In: boxes and the true boxes. Out: hits, overlaps and reference boxes. Next:
``poise.evaluation.objects.report``.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""Boxes [k, 4]: x0, y0, x1, y1 in pixels. The far edges are outside."""


def best_overlaps(boxes: Boxes, truths: Boxes) -> NDArray[np.float64]:
    """Computes the largest overlap (intersection over union) of each box with a true box.

    1: the box is the object's. At least 0.5: found, as CorLoc counts. 0: beside every object.
    Boxes in whole pixels give the exact ratio, so 0.5 is a hit.

    Args:
        boxes: [k, 4].
        truths: [m, 4] with m at least 1.

    Returns:
        float64 [k].
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
    """Makes the boxes of two guesses that look at no image.

    The first is as large as the mean true box, in shares of the image, and lies in the centre: the
    best that one fixed box can hope for, because its size is taken from the truth. The second is
    the whole image.

    Args:
        sizes: width and height of each of n images.
        truths: true boxes of each image.

    Returns:
        float64 [n, 2, 4].
    """
    shares = [(each[:, 2:] - each[:, :2]) / size for size, each in zip(sizes, truths, strict=True)]
    half = np.concatenate(shares).mean(axis=0) / 2
    relative = np.array([[*(0.5 - half), *(0.5 + half)], [0, 0, 1, 1]])
    guesses: NDArray[np.float64] = relative * np.tile(np.stack(sizes), 2)[:, None]
    return guesses


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return areas
