"""Figures of video object segmentation: means, recall and decay, with intervals.

In: J and F of every object in every frame. Out: metrics. Next: ``poise.evaluation.video.report``.

Source: the DAVIS benchmark (F. Perazzi et al., CVPR 2016; J. Pont-Tuset et al.,
arXiv 1704.00675).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise.evaluation.report import Figure
from poise.evaluation.resampling import middle_95, resampled_sums

RECALLED = 0.5
"""Value above which a frame counts for recall."""

_PARTS = 4  # of a sequence, for its decay

NAMES = ("jf_mean", "j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay")


@dataclass(frozen=True)
class ObjectScore:
    """J and F of one object in the frames that count: all but the first and the last."""

    sequence: str
    number: int
    """Object's number in the masks."""

    regions: tuple[float, ...]
    """J of each frame, 0 to 1."""

    boundaries: tuple[float, ...]
    """F of each frame, 0 to 1."""

    @property
    def statistics(self) -> tuple[float, ...]:
        """Object's figures by ``NAMES``, in percent."""
        region, boundary = frame_statistics(self.regions), frame_statistics(self.boundaries)
        both = (region[0] + boundary[0]) / 2
        return tuple(100 * value for value in (both, *region, *boundary))


def frame_statistics(values: Sequence[float]) -> tuple[float, float, float]:
    """Computes the mean, the recall and the decay of one object's values over frames.

    Recall is the share of frames above 0.5. Decay is the mean over the first quarter of the frames
    minus the mean over the last quarter; neighbouring quarters share their border frame.

    Healthy: high mean and recall, decay near 0. Broken: a large decay, the object gets lost on its
    way through the sequence.

    Args:
        values: J or F by frame, at least one.
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
    """Makes the figures of a model and those of the baseline that keeps the first mask.

    A figure is a mean over objects. Its interval is a bootstrap over sequences, because objects of
    one sequence share its difficulties; a single sequence gives none.

    ``gain_over_first_mask`` is the difference between the two J&F means on the same objects.
    Healthy: its interval lies above 0. Broken: it reaches 0, the features carry labels no better
    than a copy of the first mask does.

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
    """Resamples sequences; each brings the sums of its objects' figures and their number."""
    _, groups = np.unique(sequences, return_inverse=True)
    num_groups = int(groups.max()) + 1
    if num_groups < 2:
        return [None] * table.shape[1]
    sums = np.zeros((num_groups, table.shape[1] + 1))
    np.add.at(sums, groups, np.column_stack([table, np.ones(len(table))]))
    resampled = resampled_sums(sums)
    means = resampled[:, :-1] / resampled[:, -1:]
    return [middle_95(column) for column in means.T]
