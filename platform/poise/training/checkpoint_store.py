"""Stores checkpoints, each complete or not at all.

In: a checkpoint in a temporary folder. Out: a copy in the run's folder or object storage. Next:
``poise.training.worker`` and ``poise.training.in_process``.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from poise.config.errors import PoiseError
from poise.config.local_files import copy_pieces
from poise.config.locations import Location
from poise.training.checkpoint import RUN_FILE, complete_folders, newest_checkpoint

LAST_GOOD = "before_divergence"
"""Name of the folder with the last good checkpoint of a diverged run that keeps only one
checkpoint. This name sorts before all others, so the folder never counts as the newest checkpoint.
"""

PREFIX = "checkpoint_"
"""Begins the names of checkpoints."""

_TIME_NAME = f"{PREFIX}%Y-%m-%d_%H-%M-%S.%f"
_PARTIAL, _LOCK_FILE = ".{}.partial", ".saving.lock"

_CUT_OFF_NS = 3600 * 10**9
"""Nanoseconds after which an incomplete checkpoint in object storage is nobody's work any more."""


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


def store_checkpoint(
    scratch: Path, place: Location, after_each: Callable[[], None] = lambda: None
) -> None:
    """Copies a checkpoint. If the process is killed, no folder remains that looks complete.

    Args:
        scratch: folder of the checkpoint on this machine.
        place: new folder in the run's folder or object storage.
        after_each: function that is called after each piece of a few megabytes.

    Raises:
        OSError: writing failed.
        PoiseError: the object storage refused the files; the message contains its reason.
    """
    if (place / RUN_FILE).is_file():  # an earlier attempt had copied everything
        return
    if not place.is_local:
        place.upload(scratch, RUN_FILE, after_each)
        _remove_cut_off(place.parent)
        return
    place.local.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place.local.parent, fcntl.LOCK_SH):
        _copy(scratch, place.local, after_each)
    _remove_left(place.local.parent)


def _copy(scratch: Path, place: Path, after_each: Callable[[], None]) -> None:
    half = place.with_name(_PARTIAL.format(place.name))
    shutil.rmtree(half, ignore_errors=True)
    try:
        shutil.copytree(scratch, half, copy_function=partial(_copy_file, after_each))
        for file in half.rglob("*"):
            _sync(file)
            after_each()
        half.rename(place)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    _sync(place.parent)


def _copy_file(after_each: Callable[[], None], source: str, target: str) -> None:
    with Path(source).open("rb") as file, Path(target).open("wb") as copy:
        copy_pieces(file, copy, after_each)


def _remove_cut_off(run_folder: Location) -> None:
    """Removes what killed uploads and deletions have left of older checkpoints in object storage.

    Object storage has no locks. So a folder is removed only if nothing in it has changed in the
    last hour before the newest checkpoint.
    """
    with suppress(PoiseError):  # what stays there only costs space
        for name in _cut_off(run_folder):
            (run_folder / name).delete_folder()


def _cut_off(run_folder: Location) -> list[str]:
    changed_ns: dict[str, int] = {}
    files = run_folder.files(recursive=True)
    for path, file in files.items():
        name = path.partition("/")[0]
        changed_ns[name] = max(changed_ns.get(name, 0), file.changed_ns)
    whole = set(complete_folders(files))
    newest = max(whole, default="")
    return [
        name
        for name, last_ns in changed_ns.items()
        if _moment(name) is not None
        and name not in whole
        and name < newest
        and changed_ns.get(newest, 0) - last_ns > _CUT_OFF_NS
    ]


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
    if newest is None or (run_folder / LAST_GOOD / RUN_FILE).is_file():
        return
    with TemporaryDirectory() as folder:
        for name in newest.files(recursive=True):
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            (newest / name).download(path)
        store_checkpoint(Path(folder), run_folder / LAST_GOOD)


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
