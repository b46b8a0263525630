"""Suggests commands for folders that contain images next to masks, XML files or JSON files.

In: the subfolders of a folder, and the files in it. Out: commands that an error or a note shows to
the user. Next: ``poise.data.sources.folders``.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from poise.data.sources.annotated.mask_files import MASK_SUFFIXES
from poise.data.sources.files import suffix
from poise.data.sources.options import PrepareCommand
from poise.data.sources.splits import IMAGE_ROLES, ROLES

_WORDS = re.compile(r"[a-z]+")


def annotated_commands(
    command: PrepareCommand, folder: str, parts: Sequence[str], paths: Sequence[str]
) -> Iterator[PrepareCommand]:
    """Yields commands that prepare the images of a subfolder with their annotations.

    Args:
        command: command that the user typed.
        folder: folder that contains the subfolders.
        parts: paths of the subfolders, relative to the folder.
        paths: all files of the source, relative to the source.
    """
    options = command.options
    if options.masks or options.boxes or options.coco:
        return
    inner = Path(folder).relative_to(command.source)
    keep_values = [path for path in paths if suffix(path) in MASK_SUFFIXES]
    masks: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        key = _key(part, ROLES - IMAGE_ROLES)
        if key and any(path.startswith(f"{(inner / part).as_posix()}/") for path in keep_values):
            masks[key].append(part)
    instances = [path for path in paths if Path(path).name.startswith("instances_")]
    for part in parts:
        images = command.of(str(Path(folder, part)), f"{part.replace('/', '-')}-annotated")
        key = _key(part, IMAGE_ROLES)
        for mask in masks.get(key or "", []):
            yield images.using(
                masks=str(Path(folder, mask)),
                # DAVIS has masks in `Annotations`. Pascal VOC has XML files there.
                sequences=_last(part) == "jpegimages" and _last(mask) == "annotations",
            )
        boxes = boxes_command(images, command.source, paths) if key else None
        if boxes:
            yield boxes
        for path in instances:
            if Path(path).name == f"instances_{_last(part)}.json":
                yield images.using(coco=str(Path(command.source, path)))


def boxes_command(
    command: PrepareCommand, source: str, paths: Sequence[str]
) -> PrepareCommand | None:
    """Returns a command that also reads XML files as boxes.

    The result is None if there is no XML file, or the command already reads boxes.

    Args:
        command: command that prepares the images.
        source: folder that contains the XML files.
        paths: files in this folder.
    """
    folder = next((str(Path(path).parent) for path in paths if suffix(path) == ".xml"), None)
    if folder is None or command.options.boxes or command.options.coco:
        return None
    return command.using(boxes=str(Path(source, folder)))


def _last(part: str) -> str:
    return part.rpartition("/")[2].casefold()


def _key(part: str, roles: frozenset[str]) -> str | None:
    """Replaces the first of the words ``roles`` in a path by a star; None if there is no such word.

    ``train/images`` and ``train/masks`` both become ``train/*``, so they belong together.
    """
    path = part.casefold()
    word = next((word for word in _WORDS.findall(path) if word in roles), None)
    return path.replace(word, "*", 1) if word else None
