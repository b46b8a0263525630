"""Any source of images, made into a Poise dataset.

In: what a person named after ``poise data prepare``. Out: a folder with Parquet shards of the
original encoded bytes, ``quarantine.jsonl`` and, last of all, the manifest. Next:
``poise.data.dataset`` reads it.

A folder being prepared holds ``prepare.json`` (what is being made, and a hash of its inputs) and
one report per finished shard, so an interrupted run goes on where it stopped. The split into
shards depends on the inputs alone: the same input gives the same files on one process or many.
"""

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from poise.config.base import Strict
from poise.config.errors import PoiseError
from poise.data.manifest import MANIFEST_FILE, Manifest
from poise.data.shards import ROWS_PER_GROUP, Quarantined, ShardReport, replacing, write_shard
from poise.data.sources import Indices, Part, Source, hash_of, open_source

SAMPLES_PER_SHARD = 1024
"""What an interruption can cost, and the grain of the parallel work."""

SERIAL_SHARDS = 4
"""Up to this many shards are done in this process: starting Ray (4 to 9 s) would take longer."""

QUARANTINE_FILE = "quarantine.jsonl"
REQUEST_FILE = "prepare.json"
REPORTS_FOLDER = ".reports"

_LAYOUT = "1"
"""Part of every request's key: raise it when the same inputs come to give other shards."""


class Request(Strict):
    """What a folder was asked to hold."""

    source: str
    seed: int
    key: str


@dataclass(frozen=True)
class Progress:
    """How far a preparation is, after each shard."""

    done: int  # images looked at, those of earlier runs included
    total: int
    quarantined: int


@dataclass
class _Work:
    """One preparation: its parts, and the reports on those finished."""

    folder: Path
    parts: dict[int, Part]
    sizes: dict[int, int]
    reports: dict[int, ShardReport] = field(default_factory=dict)

    def shard(self, number: int) -> Path:
        return self.folder / f"shard-{number:05d}.parquet"

    def report_file(self, number: int) -> Path:
        return self.folder / REPORTS_FOLDER / f"shard-{number:05d}.json"

    def recover(self) -> None:
        """Takes up the shards that an earlier run finished."""
        for number in self.parts:
            try:
                text = self.report_file(number).read_text(encoding="utf-8")
                report = ShardReport.model_validate_json(text)
            except (OSError, ValidationError):  # not done, or by another version: do it again
                continue
            if _is_there(report, self.shard(number)):
                self.reports[number] = report

    def finish(self, number: int, report: ShardReport) -> None:
        """Records a shard's end, so that no later run repeats it."""
        if not _is_there(report, self.shard(number)):
            raise PoiseError(
                f"{self.folder}: a Ray worker wrote {self.shard(number).name}, but it is not here; "
                "on a cluster this must be a folder that every machine shares"
            )
        _write(self.report_file(number), report.model_dump_json())
        self.reports[number] = report

    def progress(self) -> Progress:
        reports = self.reports.values()
        return Progress(
            done=sum(self.sizes[number] for number in self.reports),
            total=sum(self.sizes.values()),
            quarantined=sum(len(report.quarantined) for report in reports),
        )


def prepare(
    source: str,
    destination: str | Path,
    num_images: int | None = None,
    seed: int = 0,
    image_px: int | None = None,
    parallel: bool | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Makes a dataset of a source, or goes on making it, or finds it made.

    Args:
        source: see ``poise.data.sources.open_source``.
        destination: folder of the dataset; on a cluster, one that every machine shares.
        num_images: how many scenes to draw; of other sources, the size of a random subset.
        seed: of the scenes, or of the subset.
        image_px: side of the scenes.
        parallel: whether on Ray; none decides by the number of shards.
        on_progress: told after each shard.

    Returns:
        The manifest. Its channel statistics are exact, with every image weighing the same.

    Raises:
        PoiseError: the source or an option is wrong, the folder holds another dataset, the disk
            cannot be written to, or no image is usable.
    """
    folder = Path(destination).absolute()
    if Path(source).is_dir() and folder.resolve().is_relative_to(Path(source).resolve()):
        raise PoiseError(f"{destination}: lies in the source '{source}'; give a folder outside it")
    opened = open_source(source, num_images, seed, image_px)
    indices = _chosen(opened, source, num_images, seed)
    options = {"--num-images": num_images, "--image-px": image_px}
    asked = " ".join([source, *(f"{name} {n}" for name, n in options.items() if n is not None)])
    key = hash_of(_LAYOUT.encode(), opened.key.encode(), indices.tobytes(), str(seed).encode())
    request = Request(source=asked, seed=seed, key=key)
    try:
        finished = _claim(folder, request)
        return finished or _make(folder, request, opened, indices, parallel, on_progress)
    except OSError as error:
        raise PoiseError(f"{folder}: cannot be written to: {error.strerror or error}") from None


def _chosen(source: Source, text: str, num_images: int | None, seed: int) -> Indices:
    """Which samples, sorted: all, or a seeded random subset."""
    total = len(source)
    if num_images is None or num_images == total:
        return np.arange(total, dtype=np.int64)
    if not 0 < num_images < total:
        raise PoiseError(f"--num-images {num_images}: '{text}' holds {total} images")
    shuffled = np.random.default_rng(seed).permutation(total).astype(np.int64)
    return np.sort(shuffled[:num_images])


def _claim(folder: Path, request: Request) -> Manifest | None:
    """Makes the folder this request's. The manifest, where the request is fulfilled already."""
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / REQUEST_FILE
    if not found.exists():
        if any(folder.iterdir()):
            raise PoiseError(f"{folder}: not empty, and no dataset; give a new or empty folder")
        _write(found, request.model_dump_json(indent=2))
    _check_same(folder, found, request)
    (folder / REPORTS_FOLDER).mkdir(exist_ok=True)
    if not (folder / MANIFEST_FILE).exists():
        return None
    manifest = Manifest.read(folder)
    if all(_is_whole(folder / shard.file, shard.num_samples) for shard in manifest.shards):
        shutil.rmtree(folder / REPORTS_FOLDER)
        return manifest
    (folder / MANIFEST_FILE).unlink()  # shards were lost or cut short: make them again
    return None


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


def _make(
    folder: Path,
    request: Request,
    source: Source,
    indices: Indices,
    parallel: bool | None,
    on_progress: Callable[[Progress], None],
) -> Manifest:
    spans = np.split(indices, range(SAMPLES_PER_SHARD, len(indices), SAMPLES_PER_SHARD))
    parts = {number: source.part(span) for number, span in enumerate(spans)}
    work = _Work(folder, parts, {number: len(span) for number, span in enumerate(spans)})
    work.recover()
    on_progress(work.progress())
    left = {number: part for number, part in parts.items() if number not in work.reports}
    on_ray = len(left) > SERIAL_SHARDS if parallel is None else parallel
    for number, report in (_on_ray if on_ray else _in_process)(left, work.shard):
        work.finish(number, report)
        on_progress(work.progress())
    reports = [work.reports[number] for number in sorted(work.reports)]
    return _complete(folder, request, source.classes, reports)


def _in_process(
    parts: Mapping[int, Part], path: Callable[[int], Path]
) -> Iterator[tuple[int, ShardReport]]:
    for number, part in parts.items():
        yield number, write_shard(part, path(number))


def _on_ray(
    parts: Mapping[int, Part], path: Callable[[int], Path]
) -> Iterator[tuple[int, ShardReport]]:
    """One task per shard, in the order they end; two per CPU are under way."""
    import ray  # half a second that a small dataset need not pay

    from poise.data.ray_runtime import start_ray

    if not parts:
        return
    start_ray()
    task = ray.remote(num_cpus=1)(write_shard)
    limit = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting = iter(parts.items())
    running: dict[Any, int] = {}  # object reference → shard
    while True:
        for number, part in islice(waiting, limit - len(running)):
            running[task.remote(part, path(number))] = number
        if not running:
            return
        (ended,), _ = ray.wait(list(running), num_returns=1)
        number = running.pop(ended)
        try:
            yield number, ray.get(ended)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            raise PoiseError(
                f"{path(number)}: the Ray worker died ({type(error).__name__}), perhaps for "
                "want of memory; the same command goes on from here"
            ) from None


def _complete(
    folder: Path, request: Request, classes: tuple[str, ...], reports: list[ShardReport]
) -> Manifest:
    """Writes the quarantine list and, last, the manifest."""
    quarantined = [entry for report in reports for entry in report.quarantined]
    _write(folder / QUARANTINE_FILE, "".join(f"{e.model_dump_json()}\n" for e in quarantined))
    manifest = _manifest(folder.name, request, classes, reports, quarantined)
    _write(folder / MANIFEST_FILE, manifest.model_dump_json(indent=2))
    shutil.rmtree(folder / REPORTS_FOLDER)
    for leftover in folder.glob(".*.tmp"):  # of runs that were killed
        leftover.unlink(missing_ok=True)
    return manifest


def _manifest(
    name: str,
    request: Request,
    classes: tuple[str, ...],
    reports: list[ShardReport],
    quarantined: list[Quarantined],
) -> Manifest:
    shards = tuple(report.shard for report in reports if report.shard)
    count = sum(shard.num_samples for shard in shards)
    if not count:
        first = quarantined[0]
        raise PoiseError(
            f"{request.source}: none of its {len(quarantined)} files is a usable image "
            f"({first.path}: {first.reason}, …; all in {QUARANTINE_FILE})"
        )
    mean = [math.fsum(report.channel_sums[c] for report in reports) / count for c in range(3)]
    square = [math.fsum(r.channel_square_sums[c] for r in reports) / count for c in range(3)]
    std = [math.sqrt(max(square[c] - mean[c] ** 2, 0.0)) for c in range(3)]
    digests = bytes.fromhex("".join(report.digests for report in reports))
    return Manifest(
        name=name,
        source=request.source,
        seed=request.seed,
        num_samples=count,
        num_quarantined=len(quarantined),
        classes=classes,
        channel_mean=(mean[0], mean[1], mean[2]),
        channel_std=(std[0], std[1], std[2]),
        fingerprint=hashlib.sha256(digests).hexdigest(),
        rows_per_group=ROWS_PER_GROUP,
        shards=shards,
    )


def _is_there(report: ShardReport, path: Path) -> bool:
    if report.shard is None:
        return True
    return path.is_file() and path.stat().st_size == report.num_bytes


def _is_whole(path: Path, num_samples: int) -> bool:
    """Whether a shard is there to its end, which is where Parquet counts its rows."""
    try:
        return bool(pq.read_metadata(path).num_rows == num_samples)
    except (OSError, pa.ArrowInvalid):
        return False


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
