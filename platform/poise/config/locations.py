"""Locations of datasets, checkpoints and models: folders and files, local or in object storage.

In: a path, or a URI (``s3://``, ``gs://``, ``hdfs://``, ``file://``). Out: a ``Location``, whose
methods read, write and list files without a local copy. Next: ``poise.data``, ``poise.training``,
``poise.models`` and ``poise.runs``.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Union

from poise.config.errors import PoiseError
from poise.config.local_files import FileStatus, copy_pieces, local_files, replacing
from poise.config.paths import given_path
from poise.config.storage import OBJECT_STORES, MissingFileError, Storage, parse_uri

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem


@dataclass(frozen=True, order=True)
class Location:
    """File or folder, on this machine or in a storage. Other processes can receive a location."""

    storage: Storage | None
    """Storage of the file; None for this machine's file systems, including network drives."""

    path: str
    """Local path as the user wrote it, or path in the storage without a slash before or after."""

    @classmethod
    def of(cls, given: "AnyLocation") -> "Location":
        """Makes a location from what a user wrote. A leading ``~`` becomes the home folder.

        Raises:
            PoiseError: a URI contains a password or a key, or it is not valid.
        """
        if isinstance(given, Location):
            return given
        storage, path = parse_uri(str(given))
        return cls(storage, path if storage else str(given_path(path)))

    def __str__(self) -> str:
        return self.storage.uri(self.path) if self.storage else self.path

    def __fspath__(self) -> str:
        """Returns the path as text, for functions that take a path.

        Raises:
            PoiseError: the location is in a storage.
        """
        return os.fspath(self.local)

    def __truediv__(self, name: str) -> "Location":
        if self.storage is None:
            return Location(None, str(Path(self.path, name)))
        return Location(
            self.storage, "/".join(part for part in (self.path, name.strip("/")) if part)
        )

    @property
    def name(self) -> str:
        """Last part of the path; the bucket's name, if the path is empty."""
        return Path(self.path).name or (self.storage.host if self.storage else "")

    @property
    def parent(self) -> "Location":
        """Folder that contains this file or folder."""
        above = str(Path(self.path).parent)
        return Location(self.storage, "" if self.storage and above == "." else above)

    @property
    def is_local(self) -> bool:
        """Whether the location is on a file system of this machine."""
        return self.storage is None

    @property
    def local(self) -> Path:
        """Path of the location on this machine.

        Raises:
            PoiseError: the location is in a storage.
        """
        if self.storage is not None:
            raise PoiseError(f"{self}: must be on this machine; copy it to a folder and name that")
        return Path(self.path)

    @property
    def folders_here(self) -> list[Path]:
        """This folder, if it is on a file system of this machine; otherwise empty."""
        return [self.local] if self.is_local else []

    def absolute(self) -> "Location":
        """Returns the location with an absolute path, which is valid in every current folder."""
        return self if self.storage else Location(None, str(Path(self.path).absolute()))

    def of_path(self, path: str) -> "Location":
        """Converts a path in pyarrow's file system, below this location, to a location."""
        if self.storage is None:
            return Location(None, path)
        return self / path.removeprefix(self.connect()[1])

    def connect(self) -> "tuple[FileSystem, str]":
        """Returns pyarrow's file system, and the path of this location in that file system."""
        if self.storage is None:
            from pyarrow.fs import LocalFileSystem

            return LocalFileSystem(), str(Path(self.path).absolute())
        system, root = self.storage.connect()
        return system, "/".join(part for part in (root, self.path) if part)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turns an error of a storage into one line. Raises an error of a local file unchanged.

        Raises:
            PoiseError: the storage raised an error.
        """
        try:
            yield
        except PoiseError:
            raise
        except Exception as error:  # fsspec's file systems raise errors of their own libraries
            if self.storage is None:
                raise
            raise self.storage.explained(self.path, error) from None

    def is_file(self) -> bool:
        """Returns True if the location is a file that exists."""
        return self.local.is_file() if self.is_local else bool(self._info().is_file)

    def is_folder(self) -> bool:
        """Returns True if the folder exists. In object storage, a folder has at least one file."""
        if self.is_local:
            return self.local.is_dir()
        return str(self._info().type.name) == "Directory"

    def status(self) -> FileStatus:
        """Returns the size of the file and the time of its last change.

        Raises:
            OSError: there is no such file on this machine.
            MissingFileError: there is no such file in the storage.
        """
        if self.is_local:
            found = self.local.stat()
            return FileStatus(found.st_size, found.st_mtime_ns)
        info = self._info()
        if not info.is_file:
            raise MissingFileError(f"{self}: no such file")
        return _status(info)

    def _info(self) -> "FileInfo":
        with self.explaining():
            system, path = self.connect()
            return system.get_file_info(path)

    def files(self, recursive: bool = False) -> "dict[str, FileStatus]":
        """Returns the status of each file by its relative path. A missing folder has no files.

        One request to a storage lists a thousand files.
        """
        if self.is_local:
            return dict(local_files(self.local, recursive))
        below = len(self.connect()[1]) + 1
        return {
            each.path[below:]: _status(each) for each in self._listed(recursive) if each.is_file
        }

    def names(self) -> list[str]:
        """Lists the files and folders directly in this folder. A missing folder has none."""
        if self.is_local:
            return os.listdir(self.local) if self.local.is_dir() else []  # noqa: PTH208
        return [each.base_name for each in self._listed(recursive=False)]

    def _listed(self, recursive: bool) -> "list[FileInfo]":
        from pyarrow.fs import FileSelector

        with self.explaining():
            system, path = self.connect()
            selector = FileSelector(path, recursive=recursive, allow_not_found=True)
            return list(system.get_file_info(selector))

    def read_bytes(self) -> bytes:
        """Reads the whole file.

        Raises:
            OSError: a local file cannot be read.
            PoiseError: a file of a storage cannot be read.
        """
        if self.is_local:
            return self.local.read_bytes()
        with self.explaining():
            system, path = self.connect()
            with system.open_input_stream(path) as stream:
                return bytes(stream.read())

    def read_text(self) -> str:
        """Reads the whole file as UTF-8."""
        return self.read_bytes().decode("utf-8")

    @contextmanager
    def writing(self) -> Iterator[IO[bytes]]:
        """Yields a stream that writes the file. The complete file appears when the block ends.

        If the block raises an error, there is no new file.
        """
        if self.is_local:
            with replacing(self.local) as file:
                yield file
            return
        with self.explaining():
            system, path = self.connect()
            if self.storage and self.storage.scheme not in OBJECT_STORES:
                system.create_dir(str(Path(path).parent))  # object storage has no folders
            stream = system.open_output_stream(path)
        try:
            yield stream
        except BaseException as error:
            with suppress(Exception):  # only closing ends an upload, but it creates the file
                stream.close()
            with suppress(Exception):
                system.delete_file(path)
            raise self.recognised(error) or error from None
        with self.explaining():
            stream.close()

    def recognised(self, error: BaseException) -> PoiseError | None:
        """Explains a storage's error in one line, or returns None for any other error."""
        if self.storage is None or not isinstance(error, OSError):
            return None
        return self.storage.recognised(self.path, error)

    def download(self, path: Path) -> None:
        """Copies the file to this machine, one piece after the other."""
        with self.explaining():
            system, there = self.connect()
            with system.open_input_stream(there) as stream, path.open("wb") as file:
                copy_pieces(stream, file)

    def upload(
        self, folder: Path, last: str, after_each: Callable[[], None] = lambda: None
    ) -> None:
        """Copies a folder of this machine to this location.

        Args:
            folder: local folder with files and folders.
            last: name of a small file in ``folder``, which is written last. If this file exists,
                the copy is complete.
            after_each: function that is called after each piece of a few megabytes.
        """
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
        for name, path in sorted(files.items()):
            if path.is_file() and name != last:
                with path.open("rb") as file, (self / name).writing() as target:
                    copy_pieces(file, target, after_each)
        # Read before the upload begins. An upload that is cut off leaves a part of the file.
        (self / last).write_bytes((folder / last).read_bytes())

    def write_text(self, text: str) -> None:
        """Writes a small file as UTF-8. Readers see either the whole file or no file."""
        self.write_bytes(text.encode("utf-8"))

    def write_bytes(self, content: bytes) -> None:
        """Writes a small file. Readers see either the whole file or no file."""
        with self.writing() as file:
            file.write(content)

    def delete(self) -> None:
        """Deletes the file, if there is one."""
        if self.is_local:
            self.local.unlink(missing_ok=True)
        elif self.is_file():
            with self.explaining():
                system, path = self.connect()
                system.delete_file(path)

    def delete_folder(self) -> None:
        """Deletes the folder and everything in it, if the folder exists."""
        if self.is_local:
            shutil.rmtree(self.local, ignore_errors=True)
        elif self.is_folder():
            with self.explaining():
                system, path = self.connect()
                system.delete_dir(path)


AnyLocation = Union[str, Path, Location]  # noqa: UP007  a forward reference is no operand of |
"""Location in any form: text from a user, a path, or a ``Location``."""


def _status(info: "FileInfo") -> FileStatus:
    return FileStatus(int(info.size), int(info.mtime_ns or 0))
