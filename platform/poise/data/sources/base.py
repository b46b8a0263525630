"""Types that all sources of images share.

In: nothing. Out: ``Sample``, ``Part`` and ``ImageSource``, which every kind of source provides.
Next: ``poise.data.preparation``.
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
"""Label of an image whose class is unknown."""

Boxes = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Sample:
    """One image as it was found, not yet checked."""

    image: bytes  # encoded
    label: int  # ``NO_LABEL`` if unknown
    path: str  # origin of the image, for messages
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
    """Annotations that every sample of a source has; the fields are those of a manifest."""

    kinds: tuple[AnnotationKind, ...] = ()
    mask_classes: tuple[str, ...] = ()
    box_classes: tuple[str, ...] = ()


NO_ANNOTATIONS = SourceAnnotations()


class Part(Protocol):
    """Some of a source's samples, in order.

    A part is small and picklable, and any process can read it.
    """

    def samples(self) -> Iterator[Sample]:
        """Yields the samples. If a file cannot be read, its sample has a fault."""


class ImageSource(Protocol):
    """Ordered collection of images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty if there are no labels."""

    @property
    def named_labels(self) -> bool:
        """Whether the source gives labels as names.

        Then the names are part of the dataset's fingerprint.
        """

    @property
    def annotations(self) -> SourceAnnotations:
        """Kinds of annotations that every sample has, and the names of their classes."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions that were made when the source was opened, one line each."""

    @property
    def key(self) -> str:
        """Hash that changes whenever the inputs change (their names, sizes or times)."""

    def __len__(self) -> int: ...

    def part(self, indices: Indices) -> Part:
        """Returns the samples at these positions, which must be sorted."""


def hash_of(*pieces: bytes) -> str:
    """Returns the SHA-256 of the pieces in hexadecimal.

    Each piece is hashed with its length before it.
    """
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()
