"""Recognises errors that a full disk caused.

In: an exception. Out: one line about the disk, if a full or failing disk caused the exception.
Next: all code that writes files.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from poise.config.errors import PoiseError

_CODES = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO")
    if hasattr(errno, name)
}

_MESSAGES = re.compile(
    r"No space left|quota exceeded|File too large|os error (28|122|27)\b"
    r"|PytorchStreamWriter failed",
    re.IGNORECASE,
)
"""Messages about a full disk, from libraries whose exceptions have no error code."""


def disk_complaint(error: BaseException) -> str | None:
    """Returns a line about the disk if a full or failing disk caused the error, else None.

    Example: ``/data/run.json: No space left on device``.
    """
    if isinstance(error, OSError) and error.errno in _CODES:
        reason = os.strerror(error.errno or 0)
        return f"{error.filename}: {reason}" if error.filename else reason
    found = _MESSAGES.search(str(error))
    if found is None:
        return None
    return "No space left on device" if "Pytorch" in found[0] else found[0]


@contextmanager
def room_on_disk(what: str, consequence: str) -> Iterator[None]:
    """Turns an error inside the block into one line, if a full disk caused the error.

    Args:
        what: path and content of the file, for example ``/runs/a: the checkpoint of step 40``.
        consequence: effect of the failure, and what to do.

    Raises:
        PoiseError: the disk is full or failing; other errors are not changed.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        complaint = disk_complaint(error)
        if complaint is None:
            raise
        raise PoiseError(f"{what} cannot be written: {complaint}; {consequence}") from None
