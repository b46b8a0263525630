"""Lists the files of this machine with their sizes, and replaces files in one step.

In: local paths. Out: sizes and times of files, or a new file. Next: ``poise.config.locations``,
which has the same functions for files in object storage.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

_PIECE_BYTES = 8 * 2**20


@dataclass(frozen=True)
class FileStatus:
    """Size of a file and the time of its last change.

    If the file changes, its size or this time changes.
    """

    size: int  # bytes
    changed_ns: int  # nanoseconds since 1970

    @property
    def stamp(self) -> str:
        """Text that is different after the file has changed."""
        return f"{self.size} {self.changed_ns}"


def unused_name(path: Path, ending: str = "") -> Path:
    """Makes a hidden name beside a path, for what is not complete yet. Nothing else has this name.

    The id of a process would not do: containers that share a folder share ids, too, and so do the
    threads of a process.
    """
    return path.with_name(f".{path.name}.partial-{uuid4().hex}{ending}")


@contextmanager
def replacing(path: Path) -> Iterator[IO[Any]]:
    """Yields a temporary file. It replaces ``path`` if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unused_name(path, ".tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def copy_pieces(
    source: IO[bytes], target: IO[bytes], after_each: Callable[[], None] = lambda: None
) -> None:
    """Copies the rest of a stream to another stream, and calls a function after each piece."""
    while piece := source.read(_PIECE_BYTES):
        target.write(piece)
        after_each()


def local_files(folder: Path, recursive: bool) -> Iterator[tuple[str, FileStatus]]:
    """Yields the relative path and the status of each file in a folder. Leaves out broken links."""
    for parent, folders, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # deleted since, or a link to nothing
                status = Path(parent, name).stat()
                path = os.path.relpath(os.path.join(parent, name), folder)  # noqa: PTH118
                yield path, FileStatus(status.st_size, status.st_mtime_ns)
        if not recursive:
            folders.clear()
