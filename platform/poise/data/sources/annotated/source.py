"""Adds masks, boxes and videos to the images of a folder.

In: a ``FilesSource``, and the annotations of each image as an ``ImageNote``. Out: samples with
annotations on the upright image. Next: ``poise.data.preparation``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from poise.data.masks import encode_mask
from poise.data.sources.annotated.boxes import ImageBoxes
from poise.data.sources.annotated.exif_orientation import StoredImage, turn_of, turned_mask
from poise.data.sources.base import Indices, Part, Sample, SourceAnnotations, hash_of
from poise.data.sources.files import FilesSource
from poise.data.sources.options import PrepareCommand
from poise.data.views.decode import BadImageError, read_header


class MaskOrigin(Protocol):
    """Origin of a mask: a mask file, or outlines in a JSON file."""

    @property
    def origin(self) -> str:
        """Path of the file, for errors."""

    @property
    def key(self) -> str:
        """Text that changes if the mask changes."""

    def read(self, image: str, command: PrepareCommand) -> NDArray[np.uint8]:
        """Reads or draws the mask: uint8 [h, w]."""


@dataclass(frozen=True)
class ImageNote:
    """Annotations of one image. Kinds that the source does not have are None."""

    mask: MaskOrigin | None = None
    boxes: ImageBoxes | None = None
    sequence: str | None = None
    frame: int | None = None

    @property
    def key(self) -> str:
        """Text that changes if the annotations change, but not if their files are moved."""
        mask = self.mask.key if self.mask else None
        boxes = replace(self.boxes, origin="") if self.boxes else None
        return repr((mask, boxes, self.sequence, self.frame))


@dataclass(frozen=True)
class AnnotatedSource:
    """Source of the files under one folder, each with its annotations."""

    images: FilesSource
    image_notes: tuple[ImageNote, ...]
    annotations: SourceAnnotations
    command: PrepareCommand
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the images, in label order."""
        return self.images.classes

    @property
    def named_labels(self) -> bool:
        """Whether the labels were given as names."""
        return self.images.named_labels

    @property
    def key(self) -> str:
        """Hash that changes if the images, the annotations or their options change."""
        options = self.command.options
        said = repr((self.annotations, options.white, options.annotated))
        notes = "\n".join(note.key for note in self.image_notes)
        return hash_of(
            self.images.key.encode(), said.encode(), notes.encode("utf-8", "surrogateescape")
        )

    def __len__(self) -> int:
        return len(self.images)

    def part(self, indices: Indices) -> Part:
        """Returns a ``Part`` of the source that contains only these images.

        The process that uses this ``Part`` reads images and masks.
        """
        notes = tuple(self.image_notes[index] for index in indices)
        return AnnotatedPart(self.images.part(indices), notes, self.command)


@dataclass(frozen=True)
class AnnotatedPart:
    """Some files under one folder, each with its annotations."""

    images: Part
    notes: Sequence[ImageNote]
    command: PrepareCommand

    def samples(self) -> Iterator[Sample]:
        """Reads each image and its annotations.

        An image that cannot be read becomes a sample without annotations. The dataset leaves this
        sample out.

        Raises:
            PoiseError: an annotation cannot be read, or does not fit its image.
        """
        for sample, note in zip(self.images.samples(), self.notes, strict=True):
            if sample.fault:
                yield sample
                continue
            try:
                size, turn = read_header(sample.image)
            except BadImageError:
                yield sample
            else:
                yield self._annotated(sample, note, StoredImage(sample.path, size, turn))

    def _annotated(self, sample: Sample, note: ImageNote, image: StoredImage) -> Sample:
        sample = replace(sample, sequence=note.sequence, frame=note.frame)
        if note.mask:
            mask = note.mask.read(image.path, self.command)
            size = (mask.shape[1], mask.shape[0])
            turn = turn_of(image, size, note.mask.origin, self.command)
            sample = replace(sample, mask=encode_mask(turned_mask(mask, turn)))
        if note.boxes:
            found = note.boxes.on(image, self.command)
            sample = replace(
                sample,
                boxes=found.boxes,
                box_labels=found.labels,
                box_difficult=found.difficult,
                box_truncated=found.truncated,
            )
        return sample
