"""Opens a folder of images together with their annotations.

In: a `poise data prepare` command with annotation options, and the files in its folder. Out: a
source of images, with or without annotations. Next: ``poise.data.preparation.ingest``.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.data.manifest import AnnotationKind
from poise.data.sources.annotated.boxes import ImageBoxes
from poise.data.sources.annotated.coco import read_coco
from poise.data.sources.annotated.coco_masks import MOST_CLASSES
from poise.data.sources.annotated.listing import listed_places, read_lines
from poise.data.sources.annotated.mask_files import MASK_SUFFIXES, MaskFile
from poise.data.sources.annotated.matching import Kind, match_files
from poise.data.sources.annotated.sequences import open_sequences, sequence_of
from poise.data.sources.annotated.source import AnnotatedSource, ImageNote, MaskOrigin
from poise.data.sources.annotated.voc import read_voc
from poise.data.sources.base import SourceAnnotations
from poise.data.sources.files import FilesSource, is_other_name
from poise.data.sources.folders import open_folder
from poise.data.sources.options import PrepareCommand
from poise.data.sources.safe_names import check_class_names, shown
from poise.data.sources.walk import FoundFile

_MASKS = Kind("mask", "--masks", MASK_SUFFIXES, ".png")
_BOXES = Kind("XML file", "--boxes", (".xml",), ".xml")


@dataclass
class _Found:
    """Images of a folder, and the annotations that were found so far."""

    images: FilesSource
    masks: Sequence[MaskOrigin] = ()
    boxes: Sequence[ImageBoxes] = ()
    mask_classes: tuple[str, ...] = ()
    box_classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """Paths of the images, relative to their folder."""
        return [file.path for file in self.images.files]

    def take(self, places: Iterable[int]) -> None:
        """Keeps only the images with these indices, in this order."""
        self.images = replace(
            self.images, files=tuple(self.images.files[place] for place in places)
        )


def open_annotated(
    command: PrepareCommand, files: Sequence[FoundFile]
) -> FilesSource | AnnotatedSource:
    """Opens the images of a folder with their annotations.

    Args:
        command: command that the user typed.
        files: all files of the folder.

    Raises:
        PoiseError: options contradict each other, the layout has two possible meanings, or an
            annotation file is missing or wrong.
    """
    _check_options(command)
    options = command.options
    images = _images(command, files)
    found = _Found(images)
    if options.list_file:
        found.take(listed_places(options.list_file, found.paths))
        found.notes.append(f"took {counted(len(found.paths), 'image')} that --list names")
    if options.coco:
        _add_coco(found, options.coco, is_chosen=options.list_file is not None)
    if options.masks:
        _add_masks(found, command)
    if options.boxes:
        _add_boxes(found, _beside(images, command.source, options.boxes))
    return _source(found, command)


def _images(command: PrepareCommand, files: Sequence[FoundFile]) -> FilesSource:
    """Opens the files that may be images, without those in the annotation folders."""
    options = command.options
    root = os.path.realpath(command.source)
    folders = [os.path.realpath(each) for each in (options.masks, options.boxes) if each]
    inside = [os.path.relpath(each, root).replace(os.sep, "/") for each in folders]
    if options.masks and inside[0] == ".":
        raise PoiseError(
            f"--masks {shown(options.masks)}: is the folder of the images; give each a folder of "
            "its own"
        )
    left = [
        file
        for file in files
        if not is_other_name(file.path)
        and not any(file.path.startswith(f"{folder}/") for folder in inside)
    ]
    if not left:
        raise PoiseError(f"{shown(command.source)}: holds no images beside the annotations")
    return open_sequences(command, left) if options.sequences else open_folder(command, left)


def _add_coco(found: _Found, path: str, is_chosen: bool) -> None:
    coco = read_coco(path, found.paths, is_chosen)
    found.take(coco.places)
    found.masks, found.boxes = coco.masks, coco.boxes
    check_class_names(path, coco.classes)
    found.box_classes, found.mask_classes = coco.classes, coco.classes if coco.masks else ()
    found.notes += coco.notes


def _add_masks(found: _Found, command: PrepareCommand) -> None:
    folder, names = command.options.masks or "", command.options.mask_classes
    root = _beside(found.images, command.source, folder)
    matched, notes = match_files(found.paths, str(root), _MASKS)
    found.masks = [MaskFile(str(root.absolute() / file.path), file.stamp) for file in matched]
    found.notes += notes
    if names:
        found.mask_classes = tuple(read_lines(names, "--mask-classes"))
        if len(found.mask_classes) > MOST_CLASSES:
            raise PoiseError(
                f"--mask-classes {shown(names)}: {len(found.mask_classes):,} names, and masks have "
                f"values 1 to {MOST_CLASSES}"
            )


def _add_boxes(found: _Found, folder: Path) -> None:
    matched, notes = match_files(found.paths, str(folder), _BOXES)
    found.boxes, found.box_classes = read_voc([str(folder / file.path) for file in matched])
    check_class_names(str(folder), found.box_classes)
    found.notes += notes


def _beside(images: FilesSource, source: str, folder: str) -> Path:
    """Returns the subfolder of annotations that belongs to the folder of the images.

    All images may be in a single subfolder of the source, such as `JPEGImages/480p`. Then their
    annotations are in `Annotations/480p`.
    """
    inner = Path(folder, os.path.relpath(images.root, os.path.realpath(source)))
    return inner if inner.is_dir() else Path(folder)


def _source(found: _Found, command: PrepareCommand) -> FilesSource | AnnotatedSource:
    notes = (*found.images.notes, *found.notes)
    kinds: list[AnnotationKind] = []
    kinds += ["mask"] * bool(found.masks)
    kinds += ["boxes"] * bool(found.boxes)
    kinds += ["sequence"] * command.options.sequences
    if not kinds:
        return replace(found.images, notes=notes)
    return AnnotatedSource(
        images=found.images,
        image_notes=tuple(_image_notes(found, command)),
        annotations=SourceAnnotations(tuple(kinds), found.mask_classes, found.box_classes),
        command=command,
        notes=notes,
    )


def _image_notes(found: _Found, command: PrepareCommand) -> Iterable[ImageNote]:
    frames: dict[str, int] = {}
    for place, path in enumerate(found.paths):
        sequence = sequence_of(path, command.source) if command.options.sequences else None
        frame = None
        if sequence is not None:
            frame = frames.get(sequence, 0)
            frames[sequence] = frame + 1
        yield ImageNote(
            mask=found.masks[place] if found.masks else None,
            boxes=found.boxes[place] if found.boxes else None,
            sequence=sequence,
            frame=frame,
        )


def _check_options(command: PrepareCommand) -> None:
    options = command.options
    if options.coco and (options.masks or options.boxes):
        other = "--masks" if options.masks else "--boxes"
        raise PoiseError(
            f"--coco {shown(options.coco)}: has masks and boxes of its own; leave out {other} or "
            "--coco"
        )
    if not options.masks and (options.white or options.mask_classes):
        name = "--white" if options.white else "--mask-classes"
        raise PoiseError(f"{name}: belongs to --masks FOLDER, which is missing")
    for name, value, choices in (
        ("--white", options.white, ("object", "ignore")),
        ("--annotated", options.annotated, ("upright", "stored")),
    ):
        if value not in (None, *choices):
            raise PoiseError(f"{name} {value}: choose {' or '.join(choices)}")
    if options.annotated and not (options.masks or options.boxes or options.coco):
        raise PoiseError("--annotated: belongs to --masks, --boxes or --coco; none is given")
    for name, folder in (("--masks", options.masks), ("--boxes", options.boxes)):
        if folder and not Path(folder).is_dir():
            raise PoiseError(f"{name} {shown(folder)}: no such folder")
