"""Stores checkpoints, each complete or not at all, even if the storage fails for some time.

In: a checkpoint in a temporary folder. Out: a copy in the run's folder or object storage. Next:
``poise.training.worker`` and ``poise.training.in_process``.
"""

import errno
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from poise.config.disk import disk_complaint
from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.training.checkpoint import STATE_FILE, newest_checkpoint

ResultT = TypeVar("ResultT")

logger = logging.getLogger(__name__)

LAST_GOOD = "before_divergence"
"""Name of the folder with the last good checkpoint of a diverged run that keeps only one
checkpoint. This name sorts before all others, so the folder never counts as the newest checkpoint.
"""

PREFIX = "checkpoint_"
"""Begins the names of checkpoints."""

_TIME_NAME = f"{PREFIX}%Y-%m-%d_%H-%M-%S.%f"
_PARTIAL, _LOCK_FILE = ".{}.partial", ".saving.lock"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0

_LASTING = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR}
"""Error numbers of permanent errors: another attempt would fail too."""


def later_name(run_folder: Location, name: str) -> str:
    """Returns a name that comes after those of all other checkpoints of a run.

    Names are made of the local time, and the last one counts as the newest. At the end of summer
    time, and on machines whose clocks differ, a new name may come before an old one.

    Args:
        run_folder: folder of the run's checkpoints.
        name: name by the clock, which is returned unless another name comes after it.
    """
    # Ray's own file ``checkpoint_manager_snapshot.json`` begins like a checkpoint.
    others = [moment for each in run_folder.names() if (moment := _moment(each)) is not None]
    newest = max(others, default=None)
    if newest is None or name > time_name(newest):
        return name
    return time_name(newest + timedelta(microseconds=1))


def _moment(name: str) -> datetime | None:
    """Reads the time in a checkpoint's name, or returns None if the name contains no time."""
    try:
        return datetime.strptime(name, _TIME_NAME)
    except ValueError:
        return None


def time_name(moment: datetime) -> str:
    """Makes a checkpoint's name from a time, as Ray Train does."""
    return moment.strftime(_TIME_NAME)


def store_checkpoint(scratch: Path, place: Location) -> None:
    """Copies a checkpoint. If the process is killed, no folder remains that looks complete.

    Args:
        scratch: folder of the checkpoint on this machine.
        place: new folder in the run's folder or object storage.

    Raises:
        OSError: writing failed.
        PoiseError: the object storage refused the files; the message contains its reason.
    """
    if not place.is_local:
        place.upload(scratch, last=STATE_FILE)
        return
    if (place / STATE_FILE).is_file():  # an earlier attempt had copied everything
        return
    place.local.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place.local.parent, fcntl.LOCK_SH):
        _copy(scratch, place.local)
    _remove_left(place.local.parent)


def _copy(scratch: Path, place: Path) -> None:
    partial = place.with_name(_PARTIAL.format(place.name))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(scratch, partial)
        for file in partial.rglob("*"):
            _sync(file)
        partial.rename(place)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync(place.parent)


def _remove_left(run_folder: Path) -> None:
    """Removes what killed attempts have left half-written.

    Worker rank 0 alone writes here. But after a lost connection, the rank 0 of an earlier attempt
    may still write on another machine. So nothing is removed while anyone writes: everyone who
    writes shares a lock, and whoever is killed loses it.
    """
    with _locked(run_folder, fcntl.LOCK_EX | fcntl.LOCK_NB) as is_alone:
        for name in ("checkpoint_*", LAST_GOOD) if is_alone else ():
            for left in run_folder.glob(_PARTIAL.format(name)):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _locked(run_folder: Path, how: int) -> Iterator[bool]:
    """Yields True if this process got the lock on the run's folder.

    Yields False if another process has the lock, or if the file system has no locks.
    """
    with (run_folder / _LOCK_FILE).open("ab") as lock:
        try:
            fcntl.flock(lock, how)
            has_lock = True
        except OSError:  # BlockingIOError: someone writes
            has_lock = False
        yield has_lock


def keep_last_good(run_folder: Location) -> None:
    """Copies the newest checkpoint of a diverged run, before another checkpoint replaces it.

    Args:
        run_folder: folder of the run's checkpoints.
    """
    newest = newest_checkpoint(run_folder)
    if newest is None or (run_folder / LAST_GOOD / STATE_FILE).is_file():
        return
    with TemporaryDirectory() as folder:
        for name in newest.files(recursive=True):
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            (newest / name).download(path)
        store_checkpoint(Path(folder), run_folder / LAST_GOOD)


def patiently(
    work: Callable[[], ResultT],
    what: str,
    patience_s: float,
    pause: Callable[[float], None] = time.sleep,
) -> ResultT:
    """Calls ``work`` again and again while the storage fails, and returns its result.

    Args:
        work: function that writes. It may be called many times, and each call starts from the
            beginning.
        what: description of the work, for the log.
        patience_s: seconds of failures after which the last error is raised.
        pause: function that waits.

    Raises:
        OSError: writing still fails after this time.
        PoiseError: the object storage still refuses; the message contains its reason.
    """
    lost_s, failed_s = 0.0, time.monotonic()
    for pause_s in _pauses():
        try:
            result = work()
        except Exception as error:
            if lost_s >= patience_s or not _may_pass(error):
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


def _may_pass(error: Exception) -> bool:
    """Returns True if another attempt may succeed, for example after a full disk."""
    if isinstance(error, OSError):
        return error.errno not in _LASTING
    return isinstance(error, PoiseError) or disk_complaint(error) is not None


def _sync(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without fsync
            raise
    finally:
        os.close(descriptor)
