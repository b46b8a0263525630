"""The words that sources of images and their readers share.

In: nothing. Out: ``Sample``, ``Part`` and ``ImageSource``, which every kind of source gives. Next:
``poise.data.preparation``.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from poise.data.manifest import AnnotationKind

Indices = NDArray[np.int64]

NO_LABEL = -1
"""The label of an image whose class is unknown."""

Boxes = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Sample:
    """One image as it came, not yet checked."""

    image: bytes  # encoded
    label: int  # ``NO_LABEL`` where unknown
    path: str  # where it came from, for people
    fault: str | None = None  # why the bytes cannot be read
    mask: bytes | None = None  # PNG of one channel
    boxes: Boxes | None = None  # x0, y0, x1, y1 in pixels of the upright image
    box_labels: tuple[int, ...] | None = None
    box_difficult: tuple[bool, ...] | None = None
    box_truncated: tuple[bool, ...] | None = None
    sequence: str | None = None  # the video that the image is a frame of
    frame: int | None = None  # its place there, from 0


@dataclass(frozen=True)
class SourceAnnotations:
    """The annotations that every sample of a source has; the fields are those of a manifest."""

    kinds: tuple[AnnotationKind, ...] = ()
    mask_classes: tuple[str, ...] = ()
    box_classes: tuple[str, ...] = ()


NO_ANNOTATIONS = SourceAnnotations()


class Part(Protocol):
    """Some of a source's samples, in order; small, picklable and readable in any process."""

    def samples(self) -> Iterator[Sample]:
        """Reads the samples; a file that cannot be read is a sample with a fault."""


class ImageSource(Protocol):
    """An ordered collection of images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty where there are no labels."""

    @property
    def named_labels(self) -> bool:
        """Whether the labels came as names, which are then part of the dataset's fingerprint."""

    @property
    def annotations(self) -> SourceAnnotations:
        """Kinds of annotations that every sample has, and the names of their classes."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Returns what was assumed when the source was opened, one line each."""

    @property
    def key(self) -> str:
        """A hash that changes whenever the inputs do (their names, sizes or times)."""

    def __len__(self) -> int: ...

    def part(self, indices: Indices) -> Part:
        """Returns the samples at these positions, which must be sorted."""


def hash_of(*pieces: bytes) -> str:
    """Returns the SHA-256 of length-prefixed pieces, as hexadecimal."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()
