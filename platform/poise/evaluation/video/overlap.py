"""Agreement of a mask with the truth: by region and by boundary.

In: two masks of one object. Out: Jaccard's index J and the boundary measure F. Next:
``poise.evaluation.video.tracking``.

Source: the DAVIS benchmark (F. Perazzi et al., CVPR 2016, section 5).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

Region = NDArray[np.bool_]
"""Whether each pixel belongs to the object: [H, W]."""

TOLERANCE = 0.008
"""Largest distance between boundaries that still match, as a share of the image's diagonal."""


def jaccard(truth: Region, found: Region) -> float:
    """Computes the area that both regions share over the area of either: 0 to 1.

    1 where both are empty. Healthy: near 1. Broken: 0, they do not touch.
    """
    either = int((truth | found).sum())
    return int((truth & found).sum()) / either if either else 1.0


def boundary_measure(truth: Region, found: Region, tolerance: float = TOLERANCE) -> float:
    """Computes the F-measure of the boundaries' precision and recall: 0 to 1.

    A pixel of one boundary matches if some pixel of the other lies within the tolerance, which is
    rounded up to whole pixels. The publication widens one boundary by a disk and intersects; a
    distance that is at most the disk's radius is the same. If only one of the regions has a
    boundary, the measure is 0; if neither has one, it is 1.

    Healthy: near 1. Broken: near 0, the outlines lie elsewhere, even if areas overlap.
    """
    of_truth, of_found = outline(truth), outline(found)
    if not of_truth.any() or not of_found.any():
        return float(of_truth.any() == of_found.any())
    reach = math.ceil(tolerance * math.hypot(*truth.shape))
    inside = _box_around(of_truth | of_found)  # the rest of the image holds no boundary
    of_truth, of_found = of_truth[inside], of_found[inside]
    precision = _share_near(of_found, of_truth, reach)
    recall = _share_near(of_truth, of_found, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def outline(region: Region) -> Region:
    """Marks pixels that differ from the pixel to the right, below, or below and right.

    The image's own border is no boundary.
    """
    wide = np.pad(region, ((0, 1), (0, 1)), mode="edge")
    marked: Region = (
        (region != wide[:-1, 1:]) | (region != wide[1:, :-1]) | (region != wide[1:, 1:])
    )
    return marked


def _box_around(pixels: Region) -> tuple[slice, slice]:
    """Rows and columns that have marked pixels, of which there is one at least."""
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _share_near(pixels: Region, others: Region, reach: int) -> float:
    """Share of some pixels that have one of the others within reach."""
    distances = distance_transform_edt(~others)
    return float((distances[pixels] <= reach).mean())
