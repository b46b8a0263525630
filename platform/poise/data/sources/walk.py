"""The files under a folder, without hidden ones and without circles.

In: a folder. Out: ``FoundFile``s in sorted order. Next: ``poise.data.sources.opening`` decides
what they are.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from poise.config.errors import PoiseError
from poise.data.sources.names import shown

LEFT_OUT = "__MACOSX"  # what macOS adds to its archives: no images, only hidden files


@dataclass(frozen=True, order=True)
class FoundFile:
    """One file under a folder."""

    path: str  # relative to the folder, with forward slashes
    stamp: str  # changes when the file does: its size and time of change


@dataclass
class Walk:
    """All files under one folder, and what was left out on the way."""

    root: str
    files: list[FoundFile] = field(default_factory=list)
    inner_links: list[str] = field(default_factory=list)
    """Links to folders that are read anyway, or that hold the root: following them is a circle."""


def walk(folder: str) -> Walk:
    """Finds every file under a folder.

    A name that begins with a dot is left out, with everything below it. A link to a file or to a
    folder elsewhere is followed. A link that cannot be followed is a file that cannot be read.

    Raises:
        PoiseError: a folder cannot be read.
    """
    found = Walk(folder)
    first: tuple[str, ...] = (os.path.realpath(folder),)
    waiting = [(folder, "", first)]
    while waiting:
        path, prefix, parents = waiting.pop()
        for entry in _entries(path, folder):
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, f"{name}/", parents))
                continue
            status = _status(entry)
            if status is None:
                found.files.append(FoundFile(name, "unreadable"))
            elif stat.S_ISREG(status.st_mode):
                found.files.append(FoundFile(name, stamp(status)))
            elif stat.S_ISDIR(status.st_mode):
                target = os.path.realpath(entry.path)
                if any(_overlap(target, parent) for parent in parents):
                    found.inner_links.append(name)
                else:
                    waiting.append((entry.path, f"{name}/", (*parents, target)))
    found.files.sort()
    return found


def stamp(status: os.stat_result) -> str:
    """Returns what changes when a file does."""
    return f"{status.st_size} {status.st_mtime_ns}"


def is_folder(path: str) -> bool:
    """Says whether a path is a folder; False where it cannot be looked at."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def is_file(path: str) -> bool:
    """Says whether a path is a file; False where it cannot be looked at."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def is_hidden(path: str) -> bool:
    """Says whether a name on a relative path begins with a dot."""
    return any(name.startswith(".") or name == LEFT_OUT for name in Path(path).parts)


def _entries(path: str, root: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if not is_hidden(entry.name)]
    except OSError as error:
        raise PoiseError(
            f"{shown(path)}: this folder cannot be read ({error.strerror}); make it readable "
            f"(chmod -R u+rX), or move it out of {shown(root)}"
        ) from None


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError:  # a link to nothing, or in a circle
        return None


def _overlap(one: str, other: str) -> bool:
    """Says whether one folder is the other, or lies in it."""
    return os.path.commonpath([one, other]) in (one, other)
