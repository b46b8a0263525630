"""Differences between two versions, paired over images if both have stored answers.

In: two versions. Out: the difference of a figure with its 95 % interval. A figure is a measured
value. Next: ``poise models compare`` and the gates of ``poise models promote``.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from poise.config.errors import PoiseError
from poise.diagnostics.judge.forgetting import paired_loss
from poise.evaluation.answers_per_image import ENDING, Answers, Changes, unpacked
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

    unit: str = "%"
    """Unit of the values; empty for numbers without a unit."""

    other_metric: str | None = None
    """Metric of the first version, if its name is not that of the second version. It is None if the
    names are equal.
    """

    @property
    def is_paired(self) -> bool:
        """Whether the difference was computed image by image."""
        return self.images is not None

    def __str__(self) -> str:
        """Writes the difference with its interval: ``+1.2 (0.3 to 2.1)``."""
        form = "+.1f" if self.unit == "%" else "+.3g"
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


AllAnswers = Sequence[Answers]
"""Stored predictions of one version, as right or wrong for each image. A metric may occur several
times, because older measurements are kept.
"""


def read_answers(store: Store, version: Version) -> list[Answers]:
    """Reads the answers to each image that training and evaluations stored for a version.

    Answers are left out if their share of correct ones is not the registered figure. They belong to
    another checkpoint of the same run, or to an earlier measurement.
    """
    paths = (path for path in list_files(store, version, "probes") if path.endswith(ENDING))
    found = (_read(store, version, path) for path in paths)
    valid = (_registered(answers, version) for answers in found if answers is not None)
    return [answers for answers in valid if answers.right]


def difference(
    first: Version, second: Version, metric: str, answers: tuple[AllAnswers, AllAnswers]
) -> Difference | None:
    """Computes the second version's figure minus the first version's figure.

    The difference is paired if both versions have answers to the same images, with the same bank or
    the same training images (``paired_loss``). The first version's metric may then have another
    name, because the name of a metric contains a bank that is not the model's own training set. If
    a version has no answers, both figures need intervals. Then the interval of the difference is
    computed for two independent samples (R. G. Newcombe, Statistics in Medicine 17:873, 1998,
    method 10).

    Args:
        first: first version.
        second: second version.
        metric: name of the second version's figure.
        answers: answers of the first and of the second version.

    Returns:
        The difference. It is None if a version has no such figure or no interval, if the protocols
        or datasets differ, or if the answers are to different images or used different banks.
    """
    for own, changes in _changes(metric, *answers):
        loss, low, high = paired_loss(changes.lost, changes.won, changes.images)
        other_metric = own if own != metric else None
        return Difference(-loss, -high, -low, changes.images, other_metric=other_metric)
    if all(any(metric in each.right for each in given) for given in answers):
        return None  # answers to other images, or with another bank
    return _unpaired(first.figures.get(metric), second.figures.get(metric))


def _changes(metric: str, mine: AllAnswers, others: AllAnswers) -> Iterator[tuple[str, Changes]]:
    """Yields the first version's metric and the changes, for each comparable pair of answers."""
    for own in mine:
        for other in others:
            name, changes = own.named_like(metric), own.compare(other, metric)
            if name is not None and changes is not None:
                yield name, changes


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
    return Difference(value, value - below, value + above, unit=second.unit)


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


def _registered(answers: Answers, version: Version) -> Answers:
    """Keeps only the answers whose share of correct ones is the version's figure."""
    right = {
        metric: text
        for metric, text in answers.right.items()
        if _agrees(answers, metric, version.figures.get(metric))
    }
    return replace(answers, right=right)


def _agrees(answers: Answers, metric: str, figure: RegisteredFigure | None) -> bool:
    if figure is None:
        return False
    try:
        right = unpacked(answers.right[metric], answers.images)
    except (ValueError, TypeError):  # changed by hand
        return False
    share = 100.0 * int(right.sum()) / max(1, answers.images)
    return len(right) == answers.images and abs(share - figure.value) < 1e-6
