"""Follows the objects of one sequence from its first frame to its last, and scores each frame.

In: patch features and the true mask of each frame, in order. Out: predicted masks, and J and F of
each object. Next: ``poise.evaluation.video.report``.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from poise.data.annotations import IGNORED
from poise.evaluation.video.overlap import boundary_measure, jaccard
from poise.evaluation.video.propagation import (
    LabelPropagation,
    Mask,
    Propagation,
    first_labels,
    mask_of,
)
from poise.evaluation.video.scores import ObjectScore


class SequenceTracker:
    """Follows the objects of a sequence's first mask.

    Memory does not grow with the number of frames.
    """

    def __init__(
        self, sequence: str, features: Tensor, mask: Mask, patch_px: int, settings: Propagation
    ) -> None:
        """Starts with the first frame.

        Args:
            sequence: name of the sequence.
            features: L2-normalised patch features of the first frame, [h, w, D].
            mask: object numbers of the first frame, [H, W], with at least one object.
            patch_px: side of a patch in pixels.
            settings: settings of label propagation.
        """
        self.objects = objects_of(mask)
        self._patch_px = patch_px
        labels = first_labels(mask, self.objects, (features.shape[0], features.shape[1]))
        self.num_lost = int((labels[1:].sum(dim=(1, 2)) == 0).sum())
        """Number of objects that cover the centre of no patch. Such an object has no label to
        propagate.
        """
        self._labels = LabelPropagation(features, labels.to(features.device), settings)
        self._found = _Scoring(sequence, self.objects)
        self._still = _Scoring(sequence, self.objects)
        self._first_mask = mask

    def advance(self, features: Tensor, truth: Mask) -> Mask:
        """Predicts the next frame's mask [H, W] and compares it with the true mask [H, W]."""
        labels = self._labels.advance(features)
        found = mask_of(labels, self.objects, self._patch_px, (truth.shape[0], truth.shape[1]))
        self._found.add(truth, found)
        self._still.add(truth, self._first_mask)
        return found

    def scores(self) -> tuple[list[ObjectScore], list[ObjectScore]]:
        """Returns the scores of each object, for the model and for the repeated first mask.

        The first frame is given and the last is left out, as in the benchmark. So a sequence of
        fewer than three frames has no scores.
        """
        return self._found.scores(), self._still.scores()


class _Scoring:
    """Computes J and F of one sequence's objects, frame by frame."""

    def __init__(self, sequence: str, objects: Sequence[int]) -> None:
        self._sequence = sequence
        self._objects = objects
        self._regions: list[list[float]] = [[] for _ in objects]
        self._boundaries: list[list[float]] = [[] for _ in objects]

    def add(self, truth: Mask, found: Mask) -> None:
        counted = truth != IGNORED
        for index, number in enumerate(self._objects):
            pair = (truth == number, (found == number) & counted)
            self._regions[index].append(jaccard(*pair))
            self._boundaries[index].append(boundary_measure(*pair))

    def scores(self) -> list[ObjectScore]:
        if len(self._regions[0]) < 2:  # the last frame is not scored
            return []
        return [
            ObjectScore(self._sequence, number, tuple(regions[:-1]), tuple(boundaries[:-1]))
            for number, regions, boundaries in zip(
                self._objects, self._regions, self._boundaries, strict=True
            )
        ]


def objects_of(mask: Mask) -> tuple[int, ...]:
    """Returns the numbers of a mask's objects, ascending, without background and ignored pixels."""
    return tuple(int(number) for number in np.unique(mask) if number not in (0, IGNORED))
