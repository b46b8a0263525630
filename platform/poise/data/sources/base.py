"""Defines the types that all sources of images share.

In: nothing. Out: ``Sample``, ``Part`` and ``ImageSource``. Next: ``poise.data.preparation`` and the
modules of each kind of source.
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
"""Label of an image if its class is unknown."""

Boxes = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Sample:
    """One image as the source contains it, before it is checked."""

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
    frame: int | None = None  # number of the frame in the video, from 0


@dataclass(frozen=True)
class SourceAnnotations:
    """Kinds and class names of a source's annotations, with the same fields as in ``Manifest``."""

    kinds: tuple[AnnotationKind, ...] = ()
    mask_classes: tuple[str, ...] = ()
    box_classes: tuple[str, ...] = ()


NO_ANNOTATIONS = SourceAnnotations()


class Part(Protocol):
    """Some of a source's samples, in order.

    A part is small and can be pickled, so that any process can read its samples.
    """

    def samples(self) -> Iterator[Sample]:
        """Yields the samples. If a file cannot be read, ``fault`` of its sample says why."""


class ImageSource(Protocol):
    """Sequence of images from which a dataset is made."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty if there are no labels."""

    @property
    def named_labels(self) -> bool:
        """Whether the source gives labels as names.

        If so, the names are included in the dataset's fingerprint.
        """

    @property
    def annotations(self) -> SourceAnnotations:
        """Kinds of annotations that every sample has, and the names of their classes."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions about the source for the user to check, one line each."""

    @property
    def key(self) -> str:
        """Hash that changes if the inputs change (their names, sizes or times)."""

    def __len__(self) -> int: ...

    def part(self, indices: Indices) -> Part:
        """Returns a ``Part`` with only the samples at these positions, which must be sorted."""


def hash_of(*pieces: bytes) -> str:
    """Returns the SHA-256 of several pieces in hexadecimal form.

    The length of each piece is hashed too. So the same bytes, cut at other places, give a different
    hash.
    """
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()
