"""Right and wrong answers of a model for each image, to compare two models on the same images.

In: for each test image, whether the model's answer was right. Out: a small file, and the difference
of two such files. Next: ``poise.evaluation.forgetting_baseline`` and
``poise.tracking.registry.paired_differences``.

Most images are answered the same way by both models. So the difference of two accuracies on the
same images has a smaller error than each accuracy.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.config.files import read_json, write_json
from poise.evaluation.measurement import unchanged_name

ENDING = ".answers.json"
"""Ending of the names of files that contain answers."""


class Changes(NamedTuple):
    """Shares of images that only one of two models classifies correctly, in percent."""

    lost: float
    """Percentage of images that only the first model classifies correctly."""

    won: float
    """Percentage of images that only the second model classifies correctly."""

    images: int


@dataclass(frozen=True)
class Answers:
    """Whether one model classifies each image of one dataset correctly, by metric."""

    images: int
    asked: str
    """Digest of the dataset and the ids of its tested images, in order, and the same for the images
    that voted. Only answers with the same digest are compared. Older versions of Poise left out the
    images that voted.
    """

    right: Mapping[str, str]
    """Maps the name of a metric to its answers: one bit per image (1 is correct), encoded in
    base64.
    """

    def write(self, path: Path) -> None:
        """Writes the answers as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Answers":
        """Reads a file that ``write`` wrote.

        Raises:
            PoiseError: the file has other content.
        """
        content: Any = read_json(path)
        try:
            found = cls(**content)
            bytes_each = (found.images + 7) // 8
            complete = [len(base64.b64decode(text)) == bytes_each for text in found.right.values()]
        except (TypeError, ValueError, AttributeError):
            complete = [False]
        if not all(complete):
            raise PoiseError(f"{path}: holds no answers; evaluate the model again")
        return found

    def compare(self, other: "Answers", metric: str) -> Changes | None:
        """Compares the answers of this model, the first one, with the answers of another model.

        Args:
            other: answers of the second model.
            metric: name of the second model's metric. The first model's metric may have another
                digest of changed settings (see ``named_like``).

        Returns:
            The changes, or None if the images or the bank differ, or a model has no answers for the
            metric.
        """
        if (self.asked, self.images) != (other.asked, other.images):
            return None
        own = self.named_like(metric)
        if own is None or metric not in other.right:
            return None
        first, second = (
            unpacked(text, self.images) for text in (self.right[own], other.right[metric])
        )
        lost, won = (
            int(each.sum()) * 100.0 / self.images for each in (first & ~second, ~first & second)
        )
        return Changes(lost, won, self.images)

    def named_like(self, metric: str) -> str | None:
        """Finds the metric that differs from a given one only in the digest of changed settings.

        Whether a bank is a changed setting depends on the model's own training set. So one
        measurement of two models can have two names.
        """
        wanted = unchanged_name(metric)
        return next((each for each in self.right if unchanged_name(each) == wanted), None)


def digest_of(*sets: tuple[str, NDArray[np.int64]], settings: str = "") -> str:
    """Computes a digest of the fingerprints of datasets and the ids of their images.

    Args:
        sets: fingerprint and ids, int64 [n], of each dataset.
        settings: settings that change the answers and are not in the name of the metric.
    """
    parts = (
        f"{settings}{fingerprint}".encode() + sample_ids.tobytes()
        for fingerprint, sample_ids in sets
    )
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def packed(right: NDArray[np.bool_]) -> str:
    """Packs answers, bool [n] (True is correct), into one bit each, and encodes them in base64."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpacked(text: str, count: int) -> NDArray[np.bool_]:
    """Decodes the first ``count`` answers of a text that ``packed`` returned: bool [count]."""
    bits = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return np.unpackbits(bits, count=count).astype(bool)
