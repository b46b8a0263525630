"""Finds connected parts of a mask over patches, and their boxes in pixels.

In: masks [h, w]. Out: masks and boxes. Next: ``poise.evaluation.objects.lost`` and
``poise.evaluation.objects.discovery``.

Two patches are connected if they share an edge.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Grid = tuple[int, int]
"""Numbers of rows and columns of patches."""

Box = tuple[int, int, int, int]
"""Box x0, y0, x1, y1 in pixels. x1 and y1 are exclusive."""


def component_at(mask: NDArray[np.bool_], place: tuple[int, int]) -> NDArray[np.bool_]:
    """Finds the connected part of a mask [h, w] that contains a patch (row, column).

    If the patch is not in the mask, the part consists of this patch alone. For the seed patch of
    LOST this happens only if its feature is 0.
    """
    parts, _ = ndimage.label(mask)
    if not mask[place]:
        alone: NDArray[np.bool_] = np.zeros(mask.shape, dtype=np.bool_)
        alone[place] = True
        return alone
    found: NDArray[np.bool_] = parts == parts[place]
    return found


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Finds the connected part of a mask [h, w] with the most patches.

    If several parts have the most patches, the first of them in row-major order is returned.
    """
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    found: NDArray[np.bool_] = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    return found


def patch_box(mask: NDArray[np.bool_], patch_px: int, size: tuple[int, int]) -> Box:
    """Computes the smallest box around the patches of a mask, cut at the image's edges.

    An empty mask has the box (0, 0, 0, 0).

    Args:
        mask: mask over patches, [h, w].
        patch_px: side of a patch in pixels.
        size: width and height of the image in pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return (
        int(columns[0]) * patch_px,
        int(rows[0]) * patch_px,
        min((int(columns[-1]) + 1) * patch_px, size[0]),
        min((int(rows[-1]) + 1) * patch_px, size[1]),
    )
