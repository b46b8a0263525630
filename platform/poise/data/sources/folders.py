"""Opens a folder of images: decides which folders are classes, and refuses unclear layouts.

In: a command and the files in its folder. Out: a ``FilesSource``. Next:
``poise.data.preparation.ingest``.

The classes are the folders directly in the root. If all images are in one folder of the root, this
folder is used as the root. Folders that seem to be splits are refused, and so are folders of images
next to folders of masks.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.data.sources.annotation_hints import annotated_commands, boxes_command
from poise.data.sources.base import NO_LABEL
from poise.data.sources.files import FilesSource, ImageFile, is_image_name, is_other_name
from poise.data.sources.options import FOLDER_LABELS, NO_LABELS, PrepareCommand
from poise.data.sources.safe_names import check_class_names, shown
from poise.data.sources.source_paths import is_remote, joined, resolved
from poise.data.sources.splits import mixed_parts, part_name
from poise.data.sources.walk import FoundFile

METADATA = frozenset(("metadata.csv", "metadata.jsonl", "metadata.parquet"))
"""Names of tables with the labels of the images next to them, in Hugging Face's `imagefolder`
format.
"""

_COMMANDS_SHOWN = 4


@dataclass(frozen=True)
class _Level:
    """Content of one folder: its subfolders and its own files."""

    folders: dict[str, list[str]]
    """Maps each subfolder to the paths in it that may be images. Subfolders without such paths are
    left out.
    """

    loose: list[str]
    """Files directly in the folder that may be images."""

    @classmethod
    def of(cls, paths: Sequence[str]) -> "_Level":
        """Groups paths, relative to the folder, by their first part."""
        folders: dict[str, list[str]] = defaultdict(list)
        loose = []
        for path in paths:
            first, slash, rest = path.partition("/")
            if is_other_name(path):
                continue
            if slash:
                folders[first].append(rest)
            else:
                loose.append(path)
        return cls(dict(folders), loose)

    def holds_parts(self) -> bool:
        """Returns True if the subfolders are parts of a dataset: splits, or images and masks."""
        nested = {name: any("/" in path for path in paths) for name, paths in self.folders.items()}
        images = any(map(is_image_name, self.loose))
        return mixed_parts(nested, images)

    def parts(self, prefix: str = "") -> Iterator[str]:
        """Yields the path of every subfolder that is a part of a dataset, such as a split.

        If a part consists of parts, yields those parts instead.
        """
        for name, below in self.folders.items():
            inner = _Level.of(below)
            if inner.holds_parts():
                yield from inner.parts(f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}"


def open_folder(command: PrepareCommand, files: Sequence[FoundFile]) -> FilesSource:
    """Opens a folder of class folders, or a folder of images without classes.

    Raises:
        PoiseError: the layout has two possible meanings, or a class name is not UTF-8.
    """
    label = command.options.label
    if label not in (None, NO_LABELS, FOLDER_LABELS):
        raise PoiseError(
            f"--label {label}: {shown(command.source)} is a folder of images, which has no "
            f"columns; its labels are its folders' names (`--label {FOLDER_LABELS}`), or it has "
            f"none (`--label {NO_LABELS}`)"
        )
    paths = [file.path for file in files]
    if label == FOLDER_LABELS:
        prefix, level = "", _Level.of(paths)
    else:
        prefix, level = _refuse_parts_or_look_through(command, paths)
    inside = [file for file in files if file.path.startswith(prefix)]
    _refuse_metadata(command, inside, level)
    if label == FOLDER_LABELS and not level.folders:
        raise PoiseError(f"--label {label}: {shown(command.source)} holds no folders of images")
    inside = [file for file in inside if not is_metadata(file.path)]
    classes = () if label == NO_LABELS else tuple(sorted(level.folders))
    check_class_names(command.source, classes)
    labels = {name: number for number, name in enumerate(classes)}
    images = tuple(
        ImageFile(path, labels.get(path.partition("/")[0], NO_LABEL), file.stamp)
        for file in inside
        for path in (file.path.removeprefix(prefix),)
    )
    outside = [path for path in paths if not path.startswith(prefix) or is_metadata(path)]
    notes = _notes(command, prefix, level, outside)
    root = resolved(joined(command.source, prefix))
    return FilesSource(root, classes, images, named_labels=True, notes=tuple(notes))


def _refuse_parts_or_look_through(command: PrepareCommand, paths: list[str]) -> tuple[str, _Level]:
    """Finds the folder whose subfolders are the classes.

    Returns:
        The prefix of its path (``""`` for the root, or for example ``"images/"``), and its content.
    """
    prefix = ""
    while True:
        level = _Level.of([path[len(prefix) :] for path in paths if path.startswith(prefix)])
        folder = joined(command.source, prefix)
        if level.holds_parts():
            raise _parts_refused(command, folder, list(level.parts()), paths)
        for name, below in level.folders.items():
            inner = _Level.of(below)
            if len(level.folders) > 1 and inner.holds_parts():
                raise _parts_refused(command, folder, list(inner.parts(f"{name}/")), paths)
        if level.loose or len(level.folders) != 1:
            return prefix, level
        prefix += f"{next(iter(level.folders))}/"


def _parts_refused(
    command: PrepareCommand, folder: str, parts: list[str], paths: Sequence[str]
) -> PoiseError:
    """Makes the error for a folder whose subfolders are parts of a dataset.

    The error shows a command for each part, and for images with annotations.

    Args:
        command: command that the user typed.
        folder: folder that contains the parts.
        parts: paths of the parts, relative to the folder.
        paths: all files of the source.
    """
    parts = sorted(parts, key=lambda path: (part_name(Path(path).name) is None, path))
    commands = [f"`{command.of(joined(folder, path), path.replace('/', '-'))}`" for path in parts]
    more = f" (and {len(commands) - _COMMANDS_SHOWN} more)" * (len(commands) > _COMMANDS_SHOWN)
    hints = () if is_remote(folder) else annotated_commands(command, folder, sorted(parts), paths)
    known = [f"`{each}`" for each in hints]
    annotated = f"images with their annotations: {' or '.join(known[:_COMMANDS_SHOWN])}; "
    classes = command.of(folder).using(label=FOLDER_LABELS)
    return PoiseError(
        f"{shown(folder)}: {_joined(parts)} look like parts of a dataset, "
        f"not like classes; {annotated if known else ''}"
        f"prepare one: {' or '.join(commands[:_COMMANDS_SHOWN])}{more}; "
        f"if each folder in {shown(folder)} is a class: `{classes}`"
    )


def is_metadata(path: str) -> bool:
    """Returns True if a file is a table of Hugging Face's `imagefolder` format."""
    return path.rpartition("/")[2] in METADATA


def _refuse_metadata(command: PrepareCommand, files: Sequence[FoundFile], level: _Level) -> None:
    tables = [file.path for file in files if is_metadata(file.path)]
    if not tables or command.options.label is not None:
        return
    by_folder = f"; with its folders as classes: `{command.using(label=FOLDER_LABELS)}`"
    raise PoiseError(
        f"{shown(command.source)}: '{shown(tables[0])}' is a table of Hugging Face's imagefolder "
        "format, whose labels Poise does not read; to prepare the images without labels: "
        f"`{command.using(label=NO_LABELS)}`{by_folder if level.folders else ''}; "
        "for the labels of the table, move the images into one folder for each class"
    )


def _notes(
    command: PrepareCommand, prefix: str, level: _Level, outside: Sequence[str]
) -> list[str]:
    """Returns notes on assumptions about the layout.

    ``outside`` are the files that are left out.
    """
    source, notes = shown(command.source), []
    if prefix:
        notes.append(f"{source}: looked through '{shown(prefix[:-1])}', its only folder of images")
        if not level.folders:
            own = command.using(label=FOLDER_LABELS)
            notes.append(f"one folder is no class, so the images have no labels (else: `{own}`)")
    if outside:
        is_here = not is_remote(command.source)
        boxes = boxes_command(command, command.source, outside) if is_here else None
        note = f"left out {counted(len(outside), 'other file')} of {source}"
        notes.append(f"{note} (with boxes from XML: `{boxes}`)" if boxes else note)
    if command.options.label == NO_LABELS or not level.folders:
        return notes
    if level.loose:
        notes.append(f"{counted(len(level.loose), 'file')} beside the class folders: no label")
    if any("/" in path for paths in level.folders.values() for path in paths):
        notes.append(f"classes are the folders directly in {source}, with all that lies below them")
    return notes


def _joined(names: list[str]) -> str:
    more = f" and {len(names) - _COMMANDS_SHOWN} more" * (len(names) > _COMMANDS_SHOWN)
    return ", ".join(f"'{shown(name)}'" for name in names[:_COMMANDS_SHOWN]) + more
