"""Records the progress of a preparation, so that an interrupted preparation can continue.

In: the request and the reports on finished shards. Out: ``prepare.json`` (the request, with a hash
of the inputs) and one report file for each finished shard. The reports are deleted when the
manifest is written. Next: ``poise.data.preparation.ingest`` makes the remaining shards.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from poise.config.base import Strict
from poise.config.errors import PoiseError
from poise.data.manifest import MANIFEST_FILE, Bounds, Manifest
from poise.data.preparation.shards import ShardReport, replacing
from poise.data.sources.base import Part

REQUEST_FILE = "prepare.json"
REPORTS_FOLDER = ".reports"


class Request(Strict):
    """Request that a folder is prepared for."""

    source: str
    seed: int
    key: str
    value_range: Bounds | None = None
    """Range that replaces the measured range for images of more than eight bits."""


@dataclass(frozen=True)
class PrepareProgress:
    """State of a preparation after a shard."""

    done: int  # images read so far, including earlier runs
    total: int
    quarantined: int


@dataclass
class Preparation:
    """One preparation: its parts, and the reports on finished parts."""

    folder: Path
    parts: dict[int, Part]
    sizes: dict[int, int]
    reports: dict[int, ShardReport] = field(default_factory=dict)

    def shard(self, number: int) -> Path:
        """Returns the path of the file for a part's images."""
        return self.folder / f"shard-{number:05d}.parquet"

    def report_file(self, number: int) -> Path:
        """Returns the path of a part's report. The report is kept until the dataset is complete."""
        return self.folder / REPORTS_FOLDER / f"shard-{number:05d}.json"

    def recover(self) -> None:
        """Finds the shards that an earlier run finished."""
        for number in self.parts:
            try:
                text = self.report_file(number).read_text(encoding="utf-8")
                report = ShardReport.model_validate_json(text)
            except (OSError, ValidationError):  # not done, or done by another version: repeat it
                continue
            if _is_there(report, self.shard(number)):
                self.reports[number] = report

    def finish(self, number: int, report: ShardReport) -> None:
        """Records a finished shard, so that no later run repeats it."""
        if not _is_there(report, self.shard(number)):
            raise PoiseError(
                f"{self.folder}: a Ray worker wrote {self.shard(number).name}, but it is not here; "
                "on a cluster this must be a folder that every machine shares"
            )
        write_text(self.report_file(number), report.model_dump_json())
        self.reports[number] = report

    def progress(self) -> PrepareProgress:
        """Counts the images that are done."""
        reports = self.reports.values()
        return PrepareProgress(
            done=sum(self.sizes[number] for number in self.reports),
            total=sum(self.sizes.values()),
            quarantined=sum(len(report.quarantined) for report in reports),
        )


def claim(folder: Path, request: Request) -> Manifest | None:
    """Reserves the folder for a request.

    Returns:
        The manifest if the dataset is complete, else None.

    Raises:
        PoiseError: the folder holds another dataset, or other files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / REQUEST_FILE
    if not found.exists() and any(folder.iterdir()):
        raise PoiseError(f"{folder}: not empty, and no dataset; give a new or empty folder")
    if not _is_begun(folder):
        write_text(found, request.model_dump_json(indent=2))
    _check_same(folder, found, request)
    (folder / REPORTS_FOLDER).mkdir(exist_ok=True)
    if not (folder / MANIFEST_FILE).exists():
        return None
    manifest = Manifest.read(folder)
    if all(_is_whole(folder / shard.file, shard.num_samples) for shard in manifest.shards):
        shutil.rmtree(folder / REPORTS_FOLDER)
        return manifest
    (folder / MANIFEST_FILE).unlink()  # shards are missing or cut short: make them again
    return None


def _is_begun(folder: Path) -> bool:
    """Says whether work for an earlier request is in the folder; its request alone is none."""
    finished = (*folder.glob("shard-*"), *folder.glob(f"{REPORTS_FOLDER}/*"))
    return bool(finished) or (folder / MANIFEST_FILE).exists()


def _check_same(folder: Path, found: Path, request: Request) -> None:
    try:
        held = Request.model_validate_json(found.read_text(encoding="utf-8"))
    except ValidationError:
        raise PoiseError(f"{found}: damaged; delete {folder} or give another folder") from None
    if held.key != request.key:
        what = f"'{held.source}' with seed {held.seed}"
        changed = held.model_copy(update={"key": request.key}) == request
        raise PoiseError(
            f"{folder}: holds a different dataset, made from {what}"
            + (", whose files have changed since" if changed else "")
            + "; give another folder, or delete this one"
        )


def _is_there(report: ShardReport, path: Path) -> bool:
    if report.shard is None:
        return True
    return path.is_file() and path.stat().st_size == report.num_bytes


def _is_whole(path: Path, num_samples: int) -> bool:
    """Returns True if a shard is complete.

    Parquet writes its row count at the end of the file, so an incomplete file has no row count.
    """
    try:
        return bool(pq.read_metadata(path).num_rows == num_samples)
    except (OSError, pa.ArrowInvalid):
        return False


def write_text(path: Path, text: str) -> None:
    """Writes a small file so that readers see either the whole file or no file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
