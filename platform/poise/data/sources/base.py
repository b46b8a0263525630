"""The words between a source of images and what reads it.

In: nothing. Out: ``Sample``, ``Part`` and ``Source``, which every kind of source gives. Next:
``poise.data.preparation``.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


Boxes = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Sample:
    """One image as it came, not yet checked."""

    image: bytes  # encoded
    label: int  # -1 unknown
    path: str  # where it came from, for people
    fault: str | None = None  # why the bytes could not be had
    boxes: Boxes | None = None  # x0, y0, x1, y1; scenes only
    mask: bytes | None = None  # PNG of 0 and 1; scenes only


class Part(Protocol):
    """Some of a source's samples, in order."""

    def samples(self) -> Iterator[Sample]:
        """Reads them; a file that cannot be read is a sample with a fault."""


class Source(Protocol):
    """An ordered collection of images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty where there are no labels."""

    @property
    def key(self) -> str:
        """Changes whenever the inputs do (their names, sizes or times)."""

    def __len__(self) -> int: ...

    def part(self, indices: Indices) -> Part:
        """The samples with these positions, which must be sorted."""


def hash_of(*pieces: bytes) -> str:
    """SHA-256 over length-prefixed pieces, as hexadecimal."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()
