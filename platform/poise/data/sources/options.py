"""Options of `poise data prepare`, and commands with changed options for error messages.

In: the arguments of the command line. Out: ``PrepareOptions``, and ``PrepareCommand``, which
converts to the text of a command line. Next: ``poise.data.sources.opening`` and
``poise.data.preparation.ingest``.
"""

import os
import shlex
from dataclasses import dataclass, field, fields, replace
from typing import Any

from poise.data.manifest import Bounds
from poise.data.sources.walk import is_folder

NO_LABELS = "none"
"""Value of ``--label`` that ignores the labels of a source."""

FOLDER_LABELS = "folders"
"""Value of ``--label`` that makes each folder directly in the source a class."""


@dataclass(frozen=True)
class PrepareOptions:
    """Options that say which images to take from a source, and how to read them."""

    num_images: int | None = None
    """Number of scenes to draw. For all other sources, the size of a random subset."""

    seed: int = 0
    """Seed of the scenes or of the random subset."""

    image_px: int | None = None
    """Side of each scene in pixels. Other sources have no such option."""

    value_range: Bounds | None = None
    """Range of values by which images of more than eight bits are scaled. None measures the range.
    """

    label: str | None = None
    """Parquet column with the labels, or ``none``, or ``folders`` (only for folders of images)."""

    format: str | None = None
    """``images`` or ``parquet``: which files to take from a folder that contains both."""

    list_file: str | None = None
    """Text file that names the images to take."""

    masks: str | None = None
    """Folder of mask files, one for each image."""

    mask_classes: str | None = None
    """Text file with the names of the mask values 1, 2, …"""

    white: str | None = None
    """Meaning of 255 in masks that contain only 0 and 255: ``object`` or ``ignore``."""

    boxes: str | None = None
    """Folder of Pascal VOC's XML files, one for each image."""

    coco: str | None = None
    """JSON file of COCO with the boxes and outlines of all images."""

    sequences: bool = False
    """Whether each folder of images is a video."""

    annotated: str | None = None
    """Pixels to which annotations refer, if EXIF data turn the image: ``upright`` or ``stored``."""

    def file_options(self) -> list[str]:
        """Returns the names of the options that were set and that apply only to image files."""
        names = ("list_file", "masks", "mask_classes", "white", "boxes", "coco", "sequences")
        return [_option(name) for name in (*names, "annotated") if getattr(self, name)]

    def arguments(self) -> list[str]:
        """Returns command-line words for all options that differ from their defaults."""
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
    """One `poise data prepare` command."""

    source: str
    destination: str = "DEST"
    options: PrepareOptions = field(default_factory=PrepareOptions)

    def __str__(self) -> str:
        paths = [_no_option(self.source), _no_option(self.destination)]
        words = ["poise", "data", "prepare", *paths, *self.options.arguments()]
        return " ".join(map(_quoted, words))

    def of(self, source: str, suffix: str = "") -> "PrepareCommand":
        """Returns this command with another source.

        ``suffix`` is appended to the destination's name. ``--format`` is kept only if the new
        source is a folder, because the option applies only to folders.
        """
        destination = self.destination.rstrip("/") + (f"-{suffix}" if suffix else "")
        moved = replace(self, source=source, destination=destination)
        return moved if is_folder(source) else moved.using(format=None)

    def using(self, **changes: Any) -> "PrepareCommand":
        """Returns this command with changed options."""
        return replace(self, options=replace(self.options, **changes))


def _option(name: str) -> str:
    """Returns the name of the command-line option that sets a field."""
    return {"value_range": "--range", "list_file": "--list"}.get(name) or (
        f"--{name.replace('_', '-')}"
    )


def _no_option(path: str) -> str:
    """Returns the path in a form that no command reads as an option: ``./-n`` for ``-n``."""
    return f"./{path}" if path.startswith("-") else path


def _quoted(word: str) -> str:
    """Quotes a word for a shell, in one line. Bytes that are no text are written as numbers."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    if character in "'\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
