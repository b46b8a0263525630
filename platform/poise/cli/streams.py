"""Handles output that cannot be written: one line and the right exit status.

In: the process's standard streams. Out: printed lines, or an error that says why they could not be
printed. Next: ``poise.cli.main``.
"""

import os
import sys
from pathlib import Path
from typing import TextIO

from poise.config.disk import disk_complaint
from poise.config.errors import PoiseError


def check_streams() -> None:
    """Refuses to begin without stdout. Otherwise the next opened file would receive the output.

    Raises:
        PoiseError: stdout is closed.
    """
    if sys.stderr is None:
        sys.stderr = _nowhere(2)
    if sys.stdout is None:
        sys.stdout = _nowhere(1)
        raise PoiseError("stdout is closed; to discard the output add >/dev/null")


def say(line: str) -> None:
    """Prints a line on stderr at once. If stderr cannot be written, the program continues."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        silence(2)


def surroundings_complaint(error: OSError) -> str | None:
    """Explains errors in the surroundings of the process; None if the error is a bug."""
    if isinstance(error, FileNotFoundError) and not _has_current_folder():
        return "the current folder was deleted; change to another with `cd`"
    complaint = disk_complaint(error)
    if complaint is None:
        return None
    if error.filename is None and _stdout_fails():
        silence(1)
        return f"stdout: {complaint}; the output is not complete"
    return f"{complaint}; free some space, or set POISE_HOME to another disk"


def silence(descriptor: int) -> None:
    """Redirects a stream to nothing, so that its unwritten rest causes no error at the end."""
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
