"""Removes the labels from any source, for ``--label none``.

In: an ``ImageSource``. Out: a source of the same images without labels. Next:
``poise.data.preparation.ingest``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from poise.data.sources.base import (
    NO_LABEL,
    ImageSource,
    Indices,
    Part,
    Sample,
    SourceAnnotations,
    hash_of,
)


@dataclass(frozen=True)
class UnlabelledSource:
    """Source with the images of another source, but without labels."""

    source: ImageSource
    classes: tuple[str, ...] = ()
    named_labels: bool = False

    @property
    def annotations(self) -> SourceAnnotations:
        """Annotations of the other source, which are kept because they are no image labels."""
        return self.source.annotations

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions about the other source for the user to check."""
        return (*self.source.notes, "no labels, as asked")

    @property
    def key(self) -> str:
        """Hash that changes if the other source's hash changes."""
        return hash_of(b"unlabelled", self.source.key.encode())

    def __len__(self) -> int:
        return len(self.source)

    def part(self, indices: Indices) -> Part:
        """Returns a ``Part`` of the other source, without labels."""
        return UnlabelledPart(self.source.part(indices))


@dataclass(frozen=True)
class UnlabelledPart:
    """Some images of another source, without their labels."""

    part: Part

    def samples(self) -> Iterator[Sample]:
        """Reads the images and drops their labels."""
        return (replace(sample, label=NO_LABEL) for sample in self.part.samples())
