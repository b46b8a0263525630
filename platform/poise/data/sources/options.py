"""Options of `poise data prepare`, and commands with changed options for error messages.

In: the arguments of the command. Out: ``PrepareOptions``, and ``PrepareCommand``, which writes a
command that runs. Next: ``poise.data.sources.opening`` and ``poise.data.preparation.ingest``.
"""

import os
import shlex
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from poise.data.manifest import Bounds

NO_LABELS = "none"
"""Value of ``--label`` that prepares a source without labels."""

FOLDER_LABELS = "folders"
"""Value of ``--label`` that makes each folder directly in the source a class."""


@dataclass(frozen=True)
class PrepareOptions:
    """Images to take from a source, and how to read them."""

    num_images: int | None = None
    """Number of scenes to draw. For every other source, the size of a random subset."""

    seed: int = 0
    """Seed of the scenes or of the random subset."""

    image_px: int | None = None
    """Side of each scene in pixels. Other sources have no such option."""

    value_range: Bounds | None = None
    """Range of values that images of more than eight bits are scaled by; None measures the range.
    """

    label: str | None = None
    """Parquet column that holds the labels, or ``none``, or ``folders`` (image folders only)."""

    format: str | None = None
    """``images`` or ``parquet``: files to take from a folder that holds both."""

    list_file: str | None = None
    """Text file that names the images to take."""

    masks: str | None = None
    """Folder of masks, one for each image."""

    mask_classes: str | None = None
    """Text file with the names of the mask values 1, 2, …"""

    white: str | None = None
    """``object`` or ``ignore``: the meaning of 255 in masks that hold nothing else."""

    boxes: str | None = None
    """Folder of Pascal VOC's XML, one file for each image."""

    coco: str | None = None
    """JSON file of COCO with boxes and outlines of all images."""

    sequences: bool = False
    """Whether each folder of images is a video."""

    annotated: str | None = None
    """``upright`` or ``stored``: the pixels that annotations of images turned by EXIF refer to."""

    def file_options(self) -> list[str]:
        """Returns the options that were given and that apply to image files alone."""
        names = ("list_file", "masks", "mask_classes", "white", "boxes", "coco", "sequences")
        return [_option(name) for name in (*names, "annotated") if getattr(self, name)]

    def arguments(self) -> list[str]:
        """Returns the options that differ from their defaults, as words of the command line."""
        words: list[str] = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value == each.default:
                continue
            words.append(_option(each.name))
            if each.name == "value_range":
                words += [f"{bound:.15g}" for bound in value]
            elif value is not True:
                words.append(str(value))
        return words


@dataclass(frozen=True)
class PrepareCommand:
    """One call of `poise data prepare`."""

    source: str
    destination: str = "DEST"
    options: PrepareOptions = field(default_factory=PrepareOptions)

    def __str__(self) -> str:
        paths = [_no_option(self.source), _no_option(self.destination)]
        words = ["poise", "data", "prepare", *paths, *self.options.arguments()]
        return " ".join(map(_quoted, words))

    def of(self, source: str, suffix: str = "") -> "PrepareCommand":
        """Returns this command for another source.

        ``suffix`` is appended to the destination's name. ``--format`` is kept only if the new
        source is a folder, because only folders have this option.
        """
        destination = self.destination.rstrip("/") + (f"-{suffix}" if suffix else "")
        moved = replace(self, source=source, destination=destination)
        return moved if Path(source).is_dir() else moved.using(format=None)

    def using(self, **changes: Any) -> "PrepareCommand":
        """Returns this command with changed options."""
        return replace(self, options=replace(self.options, **changes))


def _option(name: str) -> str:
    """Returns the option that sets a field."""
    return {"value_range": "--range", "list_file": "--list"}.get(name) or (
        f"--{name.replace('_', '-')}"
    )


def _no_option(path: str) -> str:
    """Returns the path so that no command reads it as an option: ``./-n`` for ``-n``."""
    return f"./{path}" if path.startswith("-") else path


def _quoted(word: str) -> str:
    """Quotes a word for a shell, in one line. Bytes that are not text are written as numbers."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
