"""Tells a full disk from a bug.

In: an exception. Out: one line, where a full or failing disk caused it. Next: whoever writes files.
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
"""Messages of a full disk in libraries whose exceptions carry no error code."""


def disk_complaint(error: BaseException) -> str | None:
    """Returns the disk's complaint, ``/data/run.json: No space left on device``; none for a bug."""
    if isinstance(error, OSError) and error.errno in _CODES:
        reason = os.strerror(error.errno or 0)
        return f"{error.filename}: {reason}" if error.filename else reason
    found = _MESSAGES.search(str(error))
    if found is None:
        return None
    return "No space left on device" if "Pytorch" in found[0] else found[0]


@contextmanager
def room_on_disk(what: str, consequence: str) -> Iterator[None]:
    """Turns the failure of a full disk inside the block into one line.

    Args:
        what: the thing that is written, with its path: ``/runs/a: the checkpoint of step 40``.
        consequence: the effect of the failure, and what to do.

    Raises:
        PoiseError: the disk is full or failing; any other error passes.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        complaint = disk_complaint(error)
        if complaint is None:
            raise
        raise PoiseError(f"{what} cannot be written: {complaint}; {consequence}") from None
