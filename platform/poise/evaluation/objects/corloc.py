"""CorLoc: the share of images in which a box overlaps an object.

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

    At 1 the box is equal to an object's box. From 0.5 on, CorLoc counts the object as found. At 0
    the box overlaps no object. Boxes in whole pixels give the exact ratio, so 0.5 is a hit.

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
    """Makes the boxes of two guesses that do not use the image.

    The first guess is a box in the centre, as large as the mean true box (as a share of the image).
    No fixed box can do much better, because its size comes from the truth. The second guess is the
    whole image.

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
