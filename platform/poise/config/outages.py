"""Repeats work while a storage fails, and tells failures that may pass from lasting ones.

In: work on a disk, a network drive or object storage. Out: the result of the work, after some
failures. Next: ``poise.data`` repeats reads, ``poise.training`` reads and writes of checkpoints.
"""

import errno
import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from poise.config.disk import disk_complaint
from poise.config.errors import OutageError, PoiseError, one_line
from poise.config.locations import Location

ResultT = TypeVar("ResultT")

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0

_LASTING = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR}
"""Error numbers of permanent errors: another attempt to write would fail too."""

_OUTAGES = {
    getattr(errno, name)
    for name in (
        "EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT", "ENOTCONN", "ECONNABORTED", "ECONNREFUSED",
        "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETRESET", "ENETUNREACH",
    )
    if hasattr(errno, name)
}  # fmt: skip
"""Error numbers of a disk, a network drive or a network that fails. The file may be in order."""


def is_outage(error: BaseException) -> bool:
    """Returns True if a storage fails and may soon work again.

    A file that is missing or damaged, and refused access, are no outages.
    """
    return isinstance(error, OutageError) or (
        isinstance(error, OSError) and error.errno in _OUTAGES
    )


def may_be_written_later(error: BaseException) -> bool:
    """Returns True if another attempt to write may succeed, for example after a full disk."""
    if isinstance(error, OSError):
        return error.errno not in _LASTING
    return isinstance(error, PoiseError) or disk_complaint(error) is not None


def patiently(
    work: Callable[[], ResultT],
    what: str,
    patience_s: float,
    may_pass: Callable[[BaseException], bool] = may_be_written_later,
    pause: Callable[[float], None] = time.sleep,
) -> ResultT:
    """Calls ``work`` again and again while the storage fails, and returns its result.

    Args:
        work: function that writes or reads. It may be called many times, and each call starts from
            the beginning.
        what: description of the work, for the log.
        patience_s: seconds of failures after which the last error is raised.
        may_pass: function that returns True if another attempt may succeed after this error.
        pause: function that waits.

    Raises:
        OSError: the work still fails after this time.
        PoiseError: the object storage still fails; the message contains its reason.
    """
    lost_s, failed_s = 0.0, time.monotonic()
    for pause_s in _pauses():
        try:
            result = work()
        except Exception as error:
            if lost_s >= patience_s or not may_pass(error):
                raise
            if not lost_s:
                failed_s = time.monotonic()
                logger.warning("%s fails (%s); trying again for %.0f s", what, error, patience_s)
            wait_s = min(pause_s, patience_s - lost_s)
            pause(wait_s)
            lost_s = max(lost_s + wait_s, time.monotonic() - failed_s)  # attempts take time too
        else:
            if lost_s:
                logger.warning("%s is done, after %.0f s of failures", what, lost_s)
            return result
    raise AssertionError  # the pauses never end


def _pauses() -> Iterator[float]:
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def cannot_be_read(place: Location, error: Exception, fix: str, what: str = "") -> PoiseError:
    """Makes the error for a file that a library could not read.

    Args:
        place: location of the file.
        error: error that the library raised.
        fix: what the user can do if the storage works.
        what: the part of the file that was read, if not all of it.
    """
    known = place.recognised(error)
    if known is not None:
        return known
    subject = f"{place}: {what} cannot" if what else f"{place}: cannot"
    if is_outage(error):
        return OutageError(f"{subject} be read ({one_line(error)}); check the disk or the network")
    return PoiseError(f"{subject} be read ({one_line(error)}); {fix}")
