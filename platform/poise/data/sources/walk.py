"""Finds the files under a folder, without hidden files and without following links in circles.

In: a folder. Out: ``FoundFile``s in sorted order. Next: ``poise.data.sources.opening`` decides what
they are.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from poise.config.errors import PoiseError
from poise.data.sources.names import shown

LEFT_OUT = "__MACOSX"  # macOS adds this folder to its archives; it holds no images


@dataclass(frozen=True, order=True)
class FoundFile:
    """One file under a folder."""

    path: str  # relative to the folder, with forward slashes
    stamp: str  # size and time of change; it changes if the file changes


@dataclass
class Walk:
    """All files under one folder, and the links that were not followed."""

    root: str
    files: list[FoundFile] = field(default_factory=list)
    inner_links: list[str] = field(default_factory=list)
    """Links to folders that contain, or lie in, a folder that is read anyway. Following them could
    be a circle.
    """


def walk(folder: str) -> Walk:
    """Finds every file under a folder.

    Names that begin with a dot are left out, with everything below them. Links to files and to
    folders elsewhere are followed. If a link cannot be followed, its file counts as unreadable.

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
    """Returns a text that changes if the file changes."""
    return f"{status.st_size} {status.st_mtime_ns}"


def is_folder(path: str) -> bool:
    """Returns True if the path is a folder, and False if it cannot be accessed."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def is_file(path: str) -> bool:
    """Returns True if the path is a file, and False if it cannot be accessed."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def is_hidden(path: str) -> bool:
    """Returns True if a name on a relative path begins with a dot."""
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
    """Returns True if one folder is the other, or lies in it."""
    return os.path.commonpath([one, other]) in (one, other)
