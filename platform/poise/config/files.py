"""Writes small files that are either complete or absent, even if the process is killed.

In: plain values. Out: JSON files. Next: ``poise.studies``, ``poise.runs`` and ``poise.tracking``,
which keep their records in such files.
"""

import errno
import fcntl
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from poise.config import PoiseError


def write_json(path: Path, content: Any) -> None:
    """Writes plain values as JSON with ``write_whole``.

    Numbers that are not finite become null, because JSON has no NaN.
    """
    write_whole(path, f"{json.dumps(_finite(content), indent=2, allow_nan=False)}\n")


def write_whole(path: Path, text: str) -> None:
    """Writes a file that is either complete or absent.

    When the function returns, the file is on the disk. Several processes, even on several machines,
    may write the same file at the same time. Then the content that was written last stays.

    Raises:
        PoiseError: the disk is full, or the folder is not writable.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            _sync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> PoiseError:
    """Makes the error for a file that cannot be written."""
    return PoiseError(
        f"{path}: cannot be written ({error.strerror or error}); free some space or make the "
        "folder writable, then resume"
    )


_SIGNS_OF_A_FULL_DISK = (
    "No space left on device",
    "Disk quota exceeded",
    "database or disk is full",
    "PytorchStreamWriter failed writing file",
)


def full_disk(error: BaseException, folder: Path) -> PoiseError | None:
    """Returns a one-line error if a full disk caused ``error``, else None.

    Args:
        error: error that a library raised.
        folder: folder that the library wrote to; the message names it if the error names no file.
    """
    if not any(sign in str(error) for sign in _SIGNS_OF_A_FULL_DISK):
        return None
    where = getattr(error, "filename", None) or folder
    return PoiseError(f"{where}: the disk is full; free some space, then resume")


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without fsync
            raise


def _sync_folder(folder: Path) -> None:
    """Writes the folder's list of names to the disk, so that a crash cannot undo a renaming."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on a file during the block.

    If the file system has no locks, the block runs without a lock. The risk is small, because the
    locked work is short.
    """
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from None
    with file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class DamagedFileError(PoiseError):
    """Error for a file of ``write_json`` that is not valid, because it was truncated or changed."""


def read_json(path: Path) -> Any:
    """Reads the content of a file that ``write_json`` wrote.

    Raises:
        DamagedFileError: the file is not JSON.
        PoiseError: the file cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PoiseError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path}: is damaged: {error}") from None


def read_fields(path: Path, fix: str, **types: Any) -> dict[str, Any]:
    """Reads a JSON object that must have certain fields.

    Args:
        path: file that ``write_json`` wrote.
        fix: what the user can do if the file is damaged.
        types: required fields: name of the field, and its type or union of types.

    Raises:
        DamagedFileError: the file is not JSON, or a field is missing or has a wrong type; the
            message ends with ``fix``.
        PoiseError: the file cannot be read.
    """
    try:
        content = read_json(path)
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}; {fix}") from None
    if not isinstance(content, dict):
        raise DamagedFileError(f"{path}: is damaged: it holds no record; {fix}")
    for name, kind in types.items():
        if not isinstance(content.get(name), kind):
            raise DamagedFileError(f"{path}: is damaged: it has no '{name}' of its kind; {fix}")
    return content


def set_aside(path: Path) -> Path:
    """Renames a damaged file within its folder, so that no code reads it again.

    Returns:
        The new path.
    """
    aside = path.with_name(f"{path.name}.damaged-{uuid4().hex[:6]}")
    with suppress(FileNotFoundError):  # another process was faster
        path.replace(aside)
    return aside


def lacking(error: Exception, kind: str) -> str:
    """Describes in a few words what is wrong with a file. Reading the file raised ``error``."""
    if isinstance(error, KeyError):
        return f"it has no '{error.args[0]}'"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    _, made_of_fields, complaint = str(error).partition("__init__() ")
    return complaint if made_of_fields else f"it is no {kind}"


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def to_json(value: float) -> float | str:
    """Returns a finite number unchanged, and other numbers as ``"nan"``, ``"inf"`` or ``"-inf"``.

    ``float`` can convert these texts back to numbers.
    """
    return value if math.isfinite(value) else str(float(value))
