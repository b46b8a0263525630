"""Handles output that cannot be written, with at most one line and the right exit status.

In: the standard streams of the process. Out: printed lines, or an error that says why printing
failed. Next: ``poise.cli.main``.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from poise.config.disk import disk_complaint
from poise.config.errors import PoiseError

BROKEN_PIPE = 141  # 128 + SIGPIPE
_SHOWN = 100  # characters of a name that is too long


class ReaderLeftError(SystemExit):
    """The reader of stdout has ended, as in `poise … | head`.

    It is no ``OSError``. Code that writes files or asks servers would take that for its own
    failure, and click would end the process with status 1.
    """

    def __init__(self) -> None:
        super().__init__(BROKEN_PIPE)


class _Output(io.TextIOWrapper):
    """Stdout that raises ``ReaderLeftError`` if the program that read it has ended."""

    def write(self, text: str) -> int:
        """Writes a text."""
        try:
            return super().write(text)
        except BrokenPipeError:
            raise ReaderLeftError from None

    def flush(self) -> None:
        """Writes the text that is still in memory."""
        try:
            super().flush()
        except BrokenPipeError:
            raise ReaderLeftError from None


def check_streams() -> None:
    """Raises an error if stdout is closed. Otherwise the next opened file would get the output.

    Raises:
        PoiseError: stdout is closed.
    """
    if sys.stderr is None:
        sys.stderr = _nowhere(2)
    if sys.stdout is None:
        sys.stdout = _nowhere(1)
        raise PoiseError("stdout is closed; to discard the output add >/dev/null")
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _watched(sys.stdout)
    for stream in (sys.stdout, sys.stderr):
        _replace_what_it_lacks(stream)


def _watched(stream: io.TextIOWrapper) -> _Output:
    stream.flush()
    return _Output(
        stream.buffer,
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _replace_what_it_lacks(stream: TextIO) -> None:
    """Makes a stream print ``?`` for characters that its encoding does not have."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
        stream.reconfigure(errors="replace")


def say(line: str) -> None:
    """Prints a line on stderr at once. If stderr cannot be written, the program continues."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        silence(2)


_told = {"progress": True}
"""Whether progress is printed. It is shared by all threads, because several print progress."""


@contextmanager
def quietly() -> Iterator[None]:
    """Drops the progress that the block prints. Warnings and errors are still printed."""
    before = _told["progress"]
    _told["progress"] = False
    try:
        yield
    finally:
        _told["progress"] = before


def tells_progress() -> bool:
    """Returns True if progress is printed, because --quiet was not given."""
    return _told["progress"]


def note(line: str) -> None:
    """Prints a line of progress on stderr, unless --quiet was given."""
    if tells_progress():
        say(line)


def surroundings_complaint(error: OSError) -> str | None:
    """Explains an error that the system causes, such as a full disk.

    Returns None if the error is a bug.
    """
    if isinstance(error, FileNotFoundError) and not _has_current_folder():
        return "the current folder was deleted; change to another with `cd`"
    if error.errno == errno.ENAMETOOLONG:
        return f"{str(error.filename)[:_SHOWN]}…: this name is too long; give a shorter one"
    complaint = disk_complaint(error)
    if complaint is None:
        return None
    if error.filename is None and _stdout_fails():
        silence(1)
        return f"stdout: {complaint}; the output is not complete"
    return f"{complaint}; free some space, or set POISE_HOME to another disk"


def unread() -> list[int]:
    """Returns the numbers of those of stdout (1) and stderr (2) whose reading program has ended."""
    ended = select.POLLERR | select.POLLHUP
    streams = select.poll()
    for descriptor in (1, 2):
        streams.register(descriptor, 0)  # both flags are always reported
    return [descriptor for descriptor, flags in streams.poll(0) if flags & ended]


def silence(descriptor: int) -> None:
    """Redirects a stream to the null device.

    So text that is still in memory causes no error when the process exits.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _nowhere(descriptor: int) -> TextIO:
    silence(descriptor)
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _has_current_folder() -> bool:
    try:
        return bool(Path.cwd())
    except FileNotFoundError:
        return False


def _stdout_fails() -> bool:
    try:
        os.write(1, b"\n")  # an empty text would not fail
    except OSError:
        return True
    return False
