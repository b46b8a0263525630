"""Reads videos that are folders of frames.

In: the files of a folder. Out: images in the order of their videos and frames, and the name of each
image's video. Next: ``poise.data.sources.annotated.opening``.

Each folder with images is a video. Its frames are sorted by name. Numbers in names are sorted by
value, so `frame10` comes after `frame9`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from poise.config.errors import PoiseError
from poise.data.sources.base import NO_LABEL
from poise.data.sources.files import FilesSource, ImageFile
from poise.data.sources.options import PrepareCommand
from poise.data.sources.safe_names import is_utf8, shown
from poise.data.sources.walk import FoundFile

_NUMBERS = re.compile(r"(\d+)")


def open_sequences(command: PrepareCommand, files: Sequence[FoundFile]) -> FilesSource:
    """Opens a folder of videos, or of the frames of one video.

    Raises:
        PoiseError: a folder contains both frames and folders of frames, a video's name is not
            UTF-8, or the user requests labels.
    """
    if command.options.label is not None:
        raise PoiseError(
            f"--label {command.options.label}: videos have no labels; leave the option out"
        )
    folders = {sequence_of(file.path, command.source) for file in files}
    loose = next((file.path for file in files if "/" not in file.path), None)
    if loose is not None and len(folders) > 1:
        raise PoiseError(
            f"{shown(command.source)}: holds the frame '{shown(loose)}' beside folders of frames; "
            "give each video a folder of its own"
        )
    for name in folders:
        if not is_utf8(name):
            raise PoiseError(f"{shown(command.source)}: the video '{shown(name)}' is not UTF-8")
    ordered = sorted(files, key=lambda file: frame_order(file.path))
    images = tuple(ImageFile(file.path, NO_LABEL, file.stamp) for file in ordered)
    return FilesSource(str(Path(command.source).resolve()), (), images, notes=())


def sequence_of(path: str, source: str) -> str:
    """Returns the name of a frame's video: the name of the folder that contains the frame.

    If the frame is directly in the source, the source's name is the video's name.
    """
    folder = path.rpartition("/")[0]
    return folder or Path(source).resolve().name


def frame_order(path: str) -> tuple[str, list[tuple[int, str]], str]:
    """Returns the key that sorts frames by name, with numbers in names by value."""
    folder, _, name = path.rpartition("/")
    pieces = [
        (int(piece), "") if piece.isdecimal() else (-1, piece) for piece in _NUMBERS.split(name)
    ]
    return folder, pieces, name
