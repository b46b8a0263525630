"""Any source without its labels, for ``--label none``.

In: an ``ImageSource``. Out: the same images, each without a label. Next:
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
    """Source with the images of another source."""

    source: ImageSource
    classes: tuple[str, ...] = ()
    named_labels: bool = False

    @property
    def annotations(self) -> SourceAnnotations:
        """The other source's annotations, which are no labels of images."""
        return self.source.annotations

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions that were made when the source was opened."""
        return (*self.source.notes, "no labels, as asked")

    @property
    def key(self) -> str:
        """Hash that changes if the other source's hash changes."""
        return hash_of(b"unlabelled", self.source.key.encode())

    def __len__(self) -> int:
        return len(self.source)

    def part(self, indices: Indices) -> Part:
        """Returns the other source's part, without its labels."""
        return UnlabelledPart(self.source.part(indices))


@dataclass(frozen=True)
class UnlabelledPart:
    """Some images of another source."""

    part: Part

    def samples(self) -> Iterator[Sample]:
        """Reads the images and drops their labels."""
        return (replace(sample, label=NO_LABEL) for sample in self.part.samples())
