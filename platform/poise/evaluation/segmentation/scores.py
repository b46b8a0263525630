"""Metrics of segmentation: intersection over union by class, with intervals.

In: for each image, a table of pixel counts by class. Out: metrics. Next:
``poise.evaluation.segmentation.report``.
"""

import re
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from poise.evaluation.report import Figure
from poise.evaluation.resampling import middle_95, resampled_sums
from poise.evaluation.segmentation.classes import ClassMap

Counts = NDArray[np.int64]
"""Numbers of pixels of one image by class, [3, C]: correct, predicted and true pixels."""


def count_pixels(truth: ClassMap, found: NDArray[np.int64], num_classes: int) -> Counts:
    """Counts the pixels of one image by class. Pixels without a true class are left out.

    Args:
        truth: true class indices [px, px]. Pixels with an index above C − 1 are not counted.
        found: predicted class indices [px, px], below C.
        num_classes: number of classes C.
    """
    counted = truth < num_classes
    truths, predicted = truth[counted].astype(np.int64), found[counted]
    return np.stack(
        [
            np.bincount(each, minlength=num_classes)
            for each in (truths[truths == predicted], predicted, truths)
        ]
    )


def constant_counts(counts: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Computes the counts [n, 3, C] of a predictor that always predicts the class ``number``.

    Args:
        counts: counts of any predictor on the same images, [n, 3, C].
        number: index of the predicted class.
    """
    truths = counts[:, 2]
    constant = np.zeros_like(counts)
    constant[:, 0, number] = truths[:, number]
    constant[:, 1, number] = truths.sum(axis=1)
    constant[:, 2] = truths
    return constant


def intersection_over_union(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the intersection over union by class.

    Range: 0 to 1. Healthy: well above the values of the pixels and of the most frequent class.
    Broken: 0, so the class is never predicted correctly.

    Args:
        sums: sums of counts over images, [..., 3, C].

    Returns:
        Values [..., C]. A class that is neither true nor predicted for any pixel has NaN.
    """
    hits, predicted, truths = np.moveaxis(sums, -2, 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(hits / (predicted + truths - hits))


def segmentation_figures(
    tables: dict[str, NDArray[np.int64]], names: Sequence[str]
) -> tuple[Figure, ...]:
    """Computes the metrics of the model and of its baselines on the same images.

    ``miou`` is the mean over classes of the intersection over union. The pixels of all images are
    counted together. Intervals are bootstrap intervals over images. ``gain_over_pixels`` is the
    mIoU of the model minus that of the pixels, computed in the same resamples.

    Args:
        tables: counts of each image, [n, 3, C], for ``model``, ``pixels`` and ``majority``.
        names: names of the classes.
    """
    every = np.stack(list(tables.values()), axis=1)  # [n, k, 3, C]
    resampled = resampled_sums(every.reshape(len(every), -1)).reshape(-1, *every.shape[1:])
    values = _values(every.sum(axis=0).astype(np.float64), names, list(tables))
    spread = _values(resampled, names, list(tables))
    enough = len(every) > 1
    return tuple(
        Figure(name, float(value), "%", *(middle_95(spread[name]) if enough else (None, None)))
        for name, value in values.items()
    )


def _values(
    sums: NDArray[np.float64], names: Sequence[str], kinds: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Computes metrics in percent by name, from sums of counts [..., k, 3, C] of k predictors."""
    unions = 100 * intersection_over_union(sums)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # for a resample without any class
        means = np.nanmean(unions, axis=-1)
    with np.errstate(invalid="ignore"):
        right = 100 * sums[..., 0, :].sum(axis=-1) / sums[..., 2, :].sum(axis=-1)
    found = {}
    for index, kind in enumerate(kinds):
        prefix = "" if kind == "model" else f"{kind}_"
        found[f"{prefix}miou"] = means[..., index]
        found[f"{prefix}pixel_accuracy"] = right[..., index]
    found["gain_over_pixels"] = means[..., kinds.index("model")] - means[..., kinds.index("pixels")]
    present = ~np.isnan(unions[..., kinds.index("model"), :])
    for number, name in enumerate(names):
        if present[..., number].any():
            found[f"iou_{_as_figure(name)}"] = unions[..., kinds.index("model"), number]
    return found


def _as_figure(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower()).strip("_") or "unnamed"
