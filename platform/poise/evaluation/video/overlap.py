"""Computes the agreement of a mask with the true mask: by region and by boundary.

In: two masks of one object. Out: the Jaccard index J and the boundary measure F. Next:
``poise.evaluation.video.tracking``.

Source: the DAVIS benchmark (F. Perazzi et al., CVPR 2016, section 5).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

Region = NDArray[np.bool_]
"""Whether each pixel belongs to the object, bool [H, W]."""

TOLERANCE = 0.008
"""Largest distance at which boundary pixels still match, as a share of the image's diagonal."""


def jaccard(truth: Region, found: Region) -> float:
    """Computes the intersection over union of two regions.

    Range: 0 to 1. The value is 1 if both regions are empty. Healthy: near 1. Broken: 0, so the
    regions do not overlap.
    """
    either = int((truth | found).sum())
    return int((truth & found).sum()) / either if either else 1.0


def boundary_measure(truth: Region, found: Region, tolerance: float = TOLERANCE) -> float:
    """Computes the F-measure of the precision and recall of boundary pixels.

    A pixel of one boundary matches if a pixel of the other boundary is at most the tolerance away.
    The tolerance is rounded up to whole pixels. The publication widens one boundary by a disk and
    intersects the boundaries. Comparing the distance with the radius of the disk gives the same
    result. If only one region has a boundary, the measure is 0. If neither has one, it is 1.

    Range: 0 to 1. Healthy: near 1. Broken: near 0, so the outlines differ, even if areas overlap.
    """
    of_truth, of_found = outline(truth), outline(found)
    if not of_truth.any() or not of_found.any():
        return float(of_truth.any() == of_found.any())
    reach = math.ceil(tolerance * math.hypot(*truth.shape))
    inside = _box_around(of_truth | of_found)  # no boundary is outside this box
    of_truth, of_found = of_truth[inside], of_found[inside]
    precision = _share_near(of_found, of_truth, reach)
    recall = _share_near(of_truth, of_found, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def outline(region: Region) -> Region:
    """Marks pixels that differ from their neighbour to the right, below, or at the lower right.

    The edge of the image is not a boundary.
    """
    wide = np.pad(region, ((0, 1), (0, 1)), mode="edge")
    marked: Region = (
        (region != wide[:-1, 1:]) | (region != wide[1:, :-1]) | (region != wide[1:, 1:])
    )
    return marked


def _box_around(pixels: Region) -> tuple[slice, slice]:
    """Returns slices of the rows and columns with marked pixels.

    At least one pixel must be marked.
    """
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _share_near(pixels: Region, others: Region, reach: int) -> float:
    """Computes the share of marked pixels with a pixel of ``others`` at most ``reach`` away."""
    distances = distance_transform_edt(~others)
    return float((distances[pixels] <= reach).mean())
