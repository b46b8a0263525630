"""Differences between two versions, paired over images if both have stored answers.

In: two versions. Out: the difference of a figure with its 95 % interval. A figure is a measured
value. Next: ``poise models compare`` and the gates of ``poise models promote``.
"""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poise.config.errors import PoiseError
from poise.diagnostics.judge.forgetting import paired_loss
from poise.evaluation.answers_per_image import ENDING, Answers, unpacked
from poise.tracking.registry.pictures import list_files, read_file
from poise.tracking.registry.version import RegisteredFigure, Version
from poise.tracking.store import Store


@dataclass(frozen=True)
class Difference:
    """Value of a metric in the second version minus its value in the first version."""

    value: float
    low: float
    """Lower end of the 95 % interval."""

    high: float
    images: int | None = None
    """Number of images for which both versions stored predictions. It is None if the difference was
    not computed image by image.
    """

    @property
    def is_paired(self) -> bool:
        """Whether the difference was computed image by image."""
        return self.images is not None

    def __str__(self) -> str:
        """Writes the difference with its interval: ``+1.2 (0.3 to 2.1)``."""
        return f"{self.value:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


AllAnswers = Mapping[str, Answers]
"""Maps a metric to the stored predictions of one version, as right or wrong for each image."""


def read_answers(store: Store, version: Version) -> dict[str, Answers]:
    """Reads the answers that `poise evaluate knn` stored for a version.

    An answer file is left out if its share of correct answers is not the registered figure. Such a
    file belongs to another checkpoint of the same run.
    """
    found: dict[str, Answers] = {}
    for path in list_files(store, version, "probes"):
        if path.endswith(ENDING):
            answers = _read(store, version, path)
            metrics = answers.right if answers is not None else ()
            found |= {
                metric: answers
                for metric in metrics
                if answers is not None and _agrees(answers, metric, version.figures.get(metric))
            }
    return found


def difference(
    first: Version, second: Version, metric: str, answers: tuple[AllAnswers, AllAnswers]
) -> Difference | None:
    """Computes the second version's figure minus the first version's figure.

    The difference is paired if both versions have answers (``paired_loss``). If a version has no
    answers, both figures need intervals. Then the interval of the difference is computed for two
    independent samples (R. G. Newcombe, Statistics in Medicine 17:873, 1998, method 10).

    Args:
        first: first version.
        second: second version.
        metric: name of the figure.
        answers: answers of the first and of the second version, by metric.

    Returns:
        The difference. It is None if a version has no such figure or no interval, if the protocols
        or datasets differ, or if the answers are to different images or used different banks.
    """
    mine, other = (each.get(metric) for each in answers)
    if mine is None or other is None:
        return _unpaired(first.figures.get(metric), second.figures.get(metric))
    changes = mine.compare(other, metric)
    if changes is None:
        return None  # answers to other images, or with another bank
    loss, low, high = paired_loss(changes.lost, changes.won, changes.images)
    return Difference(-loss, -high, -low, changes.images)


def _unpaired(first: RegisteredFigure | None, second: RegisteredFigure | None) -> Difference | None:
    if first is None or second is None:
        return None
    if (first.protocol, first.dataset) != (second.protocol, second.dataset):
        return None
    ends = first.low, first.high, second.low, second.high
    if any(end is None for end in ends):
        return None
    low1, high1, low2, high2 = (end for end in ends if end is not None)
    value = second.value - first.value
    below = math.hypot(second.value - low2, high1 - first.value)
    above = math.hypot(high2 - second.value, first.value - low1)
    return Difference(value, value - below, value + above)


def _read(store: Store, version: Version, path: str) -> Answers | None:
    content = read_file(store, version, path)
    if content is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "answers.json"
        file.write_bytes(content)
        try:
            return Answers.read(file)
        except PoiseError:  # changed by hand
            return None


def _agrees(answers: Answers, metric: str, figure: RegisteredFigure | None) -> bool:
    if figure is None:
        return False
    try:
        right = unpacked(answers.right[metric], answers.images)
    except (ValueError, TypeError):  # changed by hand
        return False
    share = 100.0 * int(right.sum()) / max(1, answers.images)
    return len(right) == answers.images and abs(share - figure.value) < 1e-6
