"""Computes metrics of video object segmentation: mean, recall and decay, with intervals.

In: J (region overlap) and F (boundary measure) of every object in every frame. Out: metrics. Next:
``poise.evaluation.video.report``.

Source: the DAVIS benchmark (F. Perazzi et al., CVPR 2016; J. Pont-Tuset et al., arXiv 1704.00675).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.evaluation.report import Figure
from poise.evaluation.resampling import middle_95, resampled_sums

RECALLED = 0.5
"""Value of J or F above which a frame counts as recalled."""

_PARTS = 4  # decay compares the first and the last quarter of a sequence

NAMES = ("jf_mean", "j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay")


@dataclass(frozen=True)
class ObjectScore:
    """J and F of one object in all frames except the first and the last, which are not scored."""

    sequence: str
    number: int
    """Number of the object in the masks."""

    regions: tuple[float, ...]
    """J (region overlap) of each frame, 0 to 1."""

    boundaries: tuple[float, ...]
    """F (boundary measure) of each frame, 0 to 1."""

    @property
    def statistics(self) -> tuple[float, ...]:
        """Metrics of the object in percent, in the order of ``NAMES``."""
        region, boundary = frame_statistics(self.regions), frame_statistics(self.boundaries)
        both = (region[0] + boundary[0]) / 2
        return tuple(100 * value for value in (both, *region, *boundary))


def frame_statistics(values: Sequence[float]) -> tuple[float, float, float]:
    """Computes the mean, the recall and the decay of one object's values over frames.

    Recall is the share of frames with a value above 0.5. Decay is the mean over the first quarter
    of the frames minus the mean over the last quarter. Neighbouring quarters share one frame.

    Healthy: mean and recall are high, decay is near 0. Broken: the decay is large, so the object
    gets lost during the sequence.

    Args:
        values: J or F by frame, at least one value.
    """
    frames = np.asarray(values, dtype=np.float64)
    borders = np.round(np.linspace(1, len(frames), _PARTS + 1) + 1e-10).astype(np.int64) - 1
    first = frames[borders[0] : borders[1] + 1]
    last = frames[borders[-2] : borders[-1] + 1]
    decay = float(first.mean() - last.mean())
    return float(frames.mean()), float((frames > RECALLED).mean()), decay


def video_figures(
    found: Sequence[ObjectScore], first_mask: Sequence[ObjectScore]
) -> tuple[Figure, ...]:
    """Computes the metrics of a model and of the baseline that repeats the first mask.

    A metric is a mean over objects. Its interval is a bootstrap interval over sequences, because
    objects of one sequence depend on each other. A single sequence gives no interval.

    ``gain_over_first_mask`` is the difference between the two J&F means on the same objects.
    Healthy: its interval is above 0. Broken: the interval contains 0, so the features are no better
    than a copy of the first mask.

    Args:
        found: scores of the model.
        first_mask: scores of the baseline, for the same objects in the same order.
    """
    rows = np.array([score.statistics for score in found])
    still = np.array([score.statistics for score in first_mask])
    table = np.column_stack([rows, still, rows[:, 0] - still[:, 0]])
    names = (*NAMES, *(f"first_mask_{name}" for name in NAMES), "gain_over_first_mask")
    sequences = [score.sequence for score in found]
    intervals = _intervals(table, sequences)
    return tuple(
        Figure(name, float(mean), "%", *(interval or (None, None)))
        for name, mean, interval in zip(names, table.mean(axis=0), intervals, strict=True)
    )


def _intervals(
    table: NDArray[np.float64], sequences: Sequence[str]
) -> list[tuple[float, float] | None]:
    """Computes bootstrap intervals by resampling sequences.

    A resample adds up the metrics and the numbers of objects of its sequences.
    """
    _, groups = np.unique(sequences, return_inverse=True)
    num_groups = int(groups.max()) + 1
    if num_groups < 2:
        return [None] * table.shape[1]
    sums = np.zeros((num_groups, table.shape[1] + 1))
    np.add.at(sums, groups, np.column_stack([table, np.ones(len(table))]))
    resampled = resampled_sums(sums)
    means = resampled[:, :-1] / resampled[:, -1:]
    return [middle_95(column) for column in means.T]
