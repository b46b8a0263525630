"""Commands for folders that hold images beside their masks, XML or JSON.

In: the parts of a folder, and the files in it. Out: commands that an error or a note names. Next:
``poise.data.sources.folders``.
"""

import re
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
    """Yields a command for each part that may hold images whose annotations are known.

    Args:
        command: what was typed.
        folder: the folder that holds the parts.
        parts: paths of the parts in the folder.
        paths: all files of the source, relative to it.
    """
    options = command.options
    if options.masks or options.boxes or options.coco:
        return
    inner = Path(folder).relative_to(command.source)
    keep_values = [path for path in paths if suffix(path) in MASK_SUFFIXES]
    masks = {
        key: part
        for part in parts
        if (key := _key(part, ROLES - IMAGE_ROLES))
        and any(path.startswith(f"{(inner / part).as_posix()}/") for path in keep_values)
    }
    instances = [path for path in paths if Path(path).name.startswith("instances_")]
    for part in parts:
        images = command.of(str(Path(folder, part)), f"{part.replace('/', '-')}-annotated")
        key = _key(part, IMAGE_ROLES)
        if key in masks:
            mask = masks[key]
            yield images.using(
                masks=str(Path(folder, mask)),
                # As in DAVIS: in Pascal VOC's folder of this name are no images.
                sequences=_last(part) == "jpegimages" and _last(mask) == "annotations",
            )
        for path in instances:
            if Path(path).name == f"instances_{_last(part)}.json":
                yield images.using(coco=str(Path(command.source, path)))


def boxes_command(command: PrepareCommand, paths: Sequence[str]) -> PrepareCommand | None:
    """Returns the command that reads XML as boxes, if there is XML and it is not read yet."""
    folder = next((str(Path(path).parent) for path in paths if suffix(path) == ".xml"), None)
    if folder is None or command.options.boxes or command.options.coco:
        return None
    return command.using(boxes=str(Path(command.source, folder)))


def _last(part: str) -> str:
    return part.rpartition("/")[2].casefold()


def _key(part: str, roles: frozenset[str]) -> str | None:
    """Returns the path with a star in place of the word that says what is in the folder."""
    path = part.casefold()
    word = next((word for word in _WORDS.findall(path) if word in roles), None)
    return path.replace(word, "*", 1) if word else None
