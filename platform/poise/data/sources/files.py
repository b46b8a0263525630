"""Image files in folders.

In: a folder. Out: a ``FilesSource`` over every file under it but hidden ones, in sorted order,
labelled by the first folder on its path where there are class folders. Next:
``poise.data.preparation.ingest``.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poise.config.errors import PoiseError
from poise.data.sources.base import Indices, Part, Sample, hash_of


@dataclass(frozen=True)
class ImageFile:
    """A file that may be an image."""

    path: str  # relative to the source's folder, with forward slashes
    label: int
    stamp: str  # size and time of change


@dataclass(frozen=True)
class FilesSource:
    """Files under one folder."""

    root: str
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]

    @property
    def key(self) -> str:
        """Over every file's path, size and time: not its content, which is not read yet."""
        lines = (f"{file.path}\t{file.label}\t{file.stamp}" for file in self.files)
        return hash_of("\n".join((*self.classes, *lines)).encode("utf-8", "surrogateescape"))

    def __len__(self) -> int:
        return len(self.files)

    def part(self, indices: Indices) -> Part:
        """Paths and labels; the bytes are read where the part is."""
        return FilesPart(self.root, tuple(self.files[index] for index in indices))


@dataclass(frozen=True)
class FilesPart:
    """Some files under one folder."""

    root: str
    files: tuple[ImageFile, ...]

    def samples(self) -> Iterator[Sample]:
        """Reads each file."""
        for file in self.files:
            shown = file.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            try:
                data = Path(self.root, file.path).read_bytes()
            except OSError as error:
                yield Sample(b"", -1, shown, fault=f"cannot be read: {error.strerror or error}")
            else:
                yield Sample(data, file.label, shown)


def open_folder(folder: Path) -> FilesSource:
    """A folder of class folders, or a flat one.

    A folder that holds nothing but one folder of folders is looked through, as archives unpack
    that way. Files beside class folders have no label.

    Raises:
        PoiseError: there is no file in it.
    """
    root = _unwrapped(folder.resolve())
    files = sorted(_walk(root, "", frozenset()))
    if not files:
        raise PoiseError(f"{folder}: there is no file in this folder")
    classes = sorted({path.partition("/")[0] for path, _ in files if "/" in path})
    labels = {class_name: label for label, class_name in enumerate(classes)}
    images = (ImageFile(path, labels.get(path.partition("/")[0], -1), mark) for path, mark in files)
    return FilesSource(str(root), tuple(classes), tuple(images))


def stamp(status: os.stat_result) -> str:
    """What changes when a file does."""
    return f"{status.st_size} {status.st_mtime_ns}"


def _unwrapped(folder: Path) -> Path:
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    if len(entries) == 1 and entries[0].is_dir():
        inner = [entry for entry in entries[0].iterdir() if not entry.name.startswith(".")]
        if any(entry.is_dir() for entry in inner):
            return _unwrapped(entries[0])
    return folder


def _walk(folder: Path, prefix: str, parents: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Every file's path relative to the root, and its stamp; links are followed, loops are not."""
    real = os.path.realpath(folder)
    if real in parents:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", parents | {real})
            elif entry.is_file():
                yield f"{prefix}{entry.name}", stamp(entry.stat())
            elif entry.is_symlink():  # a dangling link: reading it will say so
                yield f"{prefix}{entry.name}", "dangling"
