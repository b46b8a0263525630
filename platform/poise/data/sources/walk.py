"""Finds the files under a folder. Skips hidden files and links that lead back to the folder.

In: a folder. Out: ``FoundFile``s in sorted order. Next: ``poise.data.sources.opening`` decides how
to read these files.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from poise.config.errors import PoiseError
from poise.config.local_files import FileStatus
from poise.config.locations import Location
from poise.data.sources.safe_names import shown

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
    """Links that are not followed, because they could lead in a circle. Each leads to a folder that
    contains, or lies in, a folder that is read anyway.
    """


def walk(folder: str) -> Walk:
    """Finds every file under a folder.

    Files and folders whose names begin with a dot are left out. Links to files and to folders
    elsewhere are followed. If the target of a link cannot be found, the link counts as an
    unreadable file.

    Raises:
        PoiseError: a folder cannot be read.
    """
    found = Walk(folder)
    place = _in_storage(folder)
    if place is not None:
        listed = place.files(recursive=True).items()
        found.files = sorted(FoundFile(name, s.stamp) for name, s in listed if not is_hidden(name))
        return found
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
    """Returns text that changes if the file changes."""
    return FileStatus(status.st_size, status.st_mtime_ns).stamp


def is_folder(path: str) -> bool:
    """Returns True if the path is a folder, and False if it cannot be accessed."""
    try:
        return place.is_folder() if (place := _in_storage(path)) else Path(path).is_dir()
    except OSError:
        return False


def is_file(path: str) -> bool:
    """Returns True if the path is a file, and False if it cannot be accessed."""
    try:
        return place.is_file() if (place := _in_storage(path)) else Path(path).is_file()
    except OSError:
        return False


def _in_storage(path: str) -> Location | None:
    """Returns the location if the path is a URI; None for a path on this machine."""
    return Location.of(path) if "://" in path else None


def is_hidden(path: str) -> bool:
    """Returns True if a part of a relative path begins with a dot, or is macOS's archive folder."""
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
    """Returns True if one folder is the other folder, or lies in it."""
    return os.path.commonpath([one, other]) in (one, other)
