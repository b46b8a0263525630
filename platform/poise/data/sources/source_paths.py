"""Handles the paths of source files as text, on this machine or in a storage.

In: the text of a folder, and names in it. Out: text that ``Location.of`` reads. Next:
``poise.data.sources.opening`` and the sources of files and Parquet files.

Sources store text and not ``Location`` objects, because millions of names are sent to workers.
"""

import glob
import os
import posixpath
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from poise.config.locations import Location


def is_remote(text: str) -> bool:
    """Returns True if a source is in a storage and not on this machine."""
    return "://" in text and not Location.of(text).is_local


def plain_path(text: str) -> str:
    """Returns a location in its shortest form, without ``./``, ``//`` and ``file://``."""
    return str(Location.of(text)) if "://" in text else str(Path(text))


def joined(folder: str, name: str) -> str:
    """Returns the location of a file or folder below a folder."""
    return str(Location.of(folder) / name) if "://" in folder else str(Path(folder, name))


def parent_of(text: str) -> str:
    """Returns the folder that contains a file."""
    return str(Location.of(text).parent) if "://" in text else str(Path(text).parent)


def resolved(folder: str) -> str:
    """Returns the location as an absolute path without links, which is valid in any process."""
    place = Location.of(folder) if "://" in folder else Location(None, folder)
    return str(place.local.resolve()) if place.is_local else str(place)


def common_folder(files: Sequence[str]) -> str:
    """Returns the deepest folder that contains all files."""
    if not is_remote(files[0]):
        return os.path.commonpath([str(Path(path).parent) for path in files]) or "."
    places = [Location.of(path).parent for path in files]
    return str(Location(places[0].storage, posixpath.commonpath([each.path for each in places])))


def relative(path: str, folder: str) -> str:
    """Returns the path of a file relative to a folder."""
    if not is_remote(path):
        return os.path.relpath(path, folder)
    return posixpath.relpath(f"/{Location.of(path).path}", f"/{Location.of(folder).path}")


def matching_files(pattern: str) -> list[str]:
    """Returns the files that match a glob, in sorted order and without hidden files."""
    if not is_remote(pattern):
        found = glob.glob(pattern, recursive=True)  # noqa: PTH207  Path.glob finds hidden files
        return sorted(str(Path(path)) for path in found)
    whole = Location.of(pattern)
    parts = whole.path.split("/")
    fixed = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    folder = Location(whole.storage, "/".join(parts[: min(fixed, len(parts) - 1)]))
    wanted = parts[min(fixed, len(parts) - 1) :]
    listed = folder.files(recursive=len(wanted) > 1)
    return sorted(str(folder / name) for name in listed if _matches(name.split("/"), wanted))


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Returns True if a path matches a glob, part by part; ``**`` is any number of folders."""
    if not patterns or not names:
        return not names and all(each == "**" for each in patterns)
    if patterns[0] == "**":
        return _matches(names, patterns[1:]) or (
            not names[0].startswith(".") and _matches(names[1:], patterns)
        )
    hidden = names[0].startswith(".") and not patterns[0].startswith(".")
    return not hidden and fnmatchcase(names[0], patterns[0]) and _matches(names[1:], patterns[1:])
