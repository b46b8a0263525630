"""Records the progress of a preparation, so that an interrupted preparation can continue.

In: the request, and the reports on finished shards. Out: ``prepare.json`` (the request, with a hash
of the inputs) and one report file for each finished shard. The report files are deleted when the
manifest is written. Next: ``poise.data.preparation.ingest`` makes the remaining shards.
"""

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from poise.config.base import Strict
from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.storage import MissingFileError
from poise.data.manifest import MANIFEST_FILE, Bounds, Manifest
from poise.data.parquet_file import parquet_file
from poise.data.preparation.shards import ShardReport
from poise.data.sources.base import Part

REQUEST_FILE = "prepare.json"
REPORTS_FOLDER = ".reports"
LOCK_FILE = ".prepare.lock"


class Request(Strict):
    """Inputs from which the dataset in a folder is made."""

    source: str
    seed: int
    key: str
    value_range: Bounds | None = None
    """Range of pixel values from the user, which replaces the measured range for images of more
    than eight bits.
    """


@dataclass(frozen=True)
class PrepareProgress:
    """Progress of a preparation, as numbers of images."""

    done: int  # images read so far, including earlier runs
    total: int
    quarantined: int


@dataclass
class Preparation:
    """State of one preparation: its parts, and the reports on finished parts."""

    folder: Location
    parts: dict[int, Part]
    sizes: dict[int, int]
    reports: dict[int, ShardReport] = field(default_factory=dict)

    def shard(self, number: int) -> Location:
        """Returns the location of the shard for a part's images."""
        return self.folder / f"shard-{number:05d}.parquet"

    def report_file(self, number: int) -> Location:
        """Returns the location of a part's report.

        The file is deleted when the dataset is complete.
        """
        return self.folder / REPORTS_FOLDER / f"shard-{number:05d}.json"

    def recover(self) -> None:
        """Finds the shards that an earlier, interrupted run finished."""
        reported, written = (self.folder / REPORTS_FOLDER).files(), self.folder.files()
        for number in self.parts:
            file = self.report_file(number)
            if file.name not in reported:
                continue
            try:
                report = ShardReport.model_validate_json(file.read_text())
            except (OSError, ValueError):  # damaged, or of another version: repeat the shard
                continue
            shard = written.get(self.shard(number).name)
            if report.shard is None or (shard and shard.size == report.num_bytes):
                self.reports[number] = report

    def finish(self, number: int, report: ShardReport) -> None:
        """Records a finished shard, so that no later run repeats it."""
        if not _is_there(report, self.shard(number)):
            raise PoiseError(
                f"{self.folder}: a Ray worker wrote {self.shard(number).name}, but it is not here; "
                "on a cluster this must be a folder that every machine shares"
            )
        self.report_file(number).write_text(report.model_dump_json())
        self.reports[number] = report

    def progress(self) -> PrepareProgress:
        """Counts the images that are finished."""
        reports = self.reports.values()
        return PrepareProgress(
            done=sum(self.sizes[number] for number in self.reports),
            total=sum(self.sizes.values()),
            quarantined=sum(len(report.quarantined) for report in reports),
        )


@contextmanager
def alone_in(folder: Location) -> Iterator[None]:
    """Lets one process at a time prepare a dataset in a folder.

    Two that began in the same second both found the folder empty. Object storage, a folder that is
    only read and a file system without locks have no lock.

    Raises:
        PoiseError: another process prepares a dataset there now.
    """
    lock = _opened_lock(folder) if folder.is_local else None
    if lock is None:
        yield
        return
    try:
        if not _is_locked(lock):
            raise PoiseError(
                f"{folder}: another process is preparing a dataset there now; repeat the command "
                "when that has ended, or give another folder"
            )
        try:
            yield
        finally:
            (folder.local / LOCK_FILE).unlink(missing_ok=True)
    finally:
        os.close(lock)


def _opened_lock(folder: Location) -> int | None:
    _make_local(folder)
    try:
        return os.open(folder.local / LOCK_FILE, os.O_WRONLY | os.O_CREAT, 0o666)
    except OSError:
        return None


def _is_locked(lock: int) -> bool:
    """Locks an open file. Returns False if another process holds it, or has just deleted it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return os.fstat(lock).st_nlink > 0


def claim(folder: Location, request: Request) -> Manifest | None:
    """Reserves the folder for a request.

    Returns:
        The manifest if the dataset is complete, else None.

    Raises:
        PoiseError: the folder contains another dataset, or other files.
    """
    _make_local(folder)
    found, names = folder / REQUEST_FILE, [each for each in folder.names() if each != LOCK_FILE]
    if REQUEST_FILE not in names and names:
        raise PoiseError(f"{folder}: not empty, and no dataset; give a new or empty folder")
    if not _is_begun(folder, names):
        found.write_text(request.model_dump_json(indent=2))
    _check_same(folder, found, request)
    if MANIFEST_FILE not in names:
        return None
    manifest = Manifest.read(folder)
    if all(_is_whole(folder / shard.file, shard.num_samples) for shard in manifest.shards):
        (folder / REPORTS_FOLDER).delete_folder()
        return manifest
    (folder / MANIFEST_FILE).delete()  # shards are missing or cut short: make them again
    return None


def _make_local(folder: Location) -> None:
    """Creates the folder if it is on this machine. Object storage has no folders."""
    if folder.is_local:
        folder.local.mkdir(parents=True, exist_ok=True)


def _is_begun(folder: Location, names: Collection[str]) -> bool:
    """Returns True if the folder contains results of a preparation, not only its request file."""
    finished = MANIFEST_FILE in names or any(name.startswith("shard-") for name in names)
    return finished or bool((folder / REPORTS_FOLDER).files())


def _check_same(folder: Location, found: Location, request: Request) -> None:
    try:
        held = Request.model_validate_json(found.read_text())
    except ValueError:  # not UTF-8, or not what ``claim`` wrote
        raise PoiseError(f"{found}: damaged; delete {folder} or give another folder") from None
    if held.key != request.key:
        what = f"'{held.source}' with seed {held.seed}"
        changed = held.model_copy(update={"key": request.key}) == request
        raise PoiseError(
            f"{folder}: holds a different dataset, made from {what}"
            + (", whose files have changed since" if changed else "")
            + "; give another folder, or delete this one"
        )


def _is_there(report: ShardReport, place: Location) -> bool:
    try:
        return report.shard is None or place.status().size == report.num_bytes
    except (OSError, MissingFileError):
        return False


def _is_whole(place: Location, num_samples: int) -> bool:
    """Returns True if a shard is complete.

    Parquet writes the row count at the end of the file, so an incomplete file has no row count.
    """
    try:
        with parquet_file(place) as opened:
            return bool(opened.metadata.num_rows == num_samples)
    except (OSError, pa.ArrowInvalid, MissingFileError):
        return False
