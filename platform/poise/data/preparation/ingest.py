"""Any source of images, made into a Poise dataset.

In: what a person named after ``poise data prepare``. Out: a folder with Parquet shards of the
original encoded bytes, ``quarantine.jsonl`` and, last of all, the manifest. Next:
``poise.data.dataset`` reads it.

The split into shards depends on the inputs alone: the same input gives the same files on one
process or many. ``poise.data.preparation.ledger`` remembers which are finished.
"""

import hashlib
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from poise.config.errors import PoiseError
from poise.data.manifest import MANIFEST_FILE, Manifest
from poise.data.preparation.ledger import REPORTS_FOLDER, Progress, Request, Work, claim, write_text
from poise.data.preparation.shards import ROWS_PER_GROUP, Quarantined, ShardReport, write_shard
from poise.data.sources.base import Indices, Part, Source, hash_of
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions

SAMPLES_PER_SHARD = 1024
"""What an interruption can cost, and the grain of the parallel work."""

SERIAL_SHARDS = 10
"""Up to this many shards are done in this process: starting Ray (4 to 9 s) would take longer."""

QUARANTINE_FILE = "quarantine.jsonl"

_LAYOUT = "1"
"""Part of every request's key: raise it when the same inputs come to give other shards."""


def prepare(
    source: str,
    destination: str | Path,
    options: PrepareOptions | None = None,
    parallel: bool | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Makes a dataset of a source, or goes on making it, or finds it made.

    Args:
        source: see ``poise.data.sources.opening.open_source``.
        destination: folder of the dataset; on a cluster, one that every machine shares.
        options: which images to take; none stands for ``PrepareOptions()``.
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
    options = options or PrepareOptions()
    opened = open_source(source, options)
    indices = _chosen(opened, source, options)
    given = {"--num-images": options.num_images, "--image-px": options.image_px}
    asked = " ".join([source, *(f"{name} {n}" for name, n in given.items() if n is not None)])
    seed = str(options.seed).encode()
    key = hash_of(_LAYOUT.encode(), opened.key.encode(), indices.tobytes(), seed)
    request = Request(source=asked, seed=options.seed, key=key)
    try:
        finished = claim(folder, request)
        return finished or _make(folder, request, opened, indices, parallel, on_progress)
    except OSError as error:
        raise PoiseError(f"{folder}: cannot be written to: {error.strerror or error}") from None


def quarantine_reasons(folder: Path) -> list[tuple[str, int]]:
    """Why images of a dataset were set aside, without details, and how many; most common first."""
    lines = (folder / QUARANTINE_FILE).read_text(encoding="utf-8").splitlines()
    reasons = (Quarantined.model_validate_json(line).reason for line in lines)
    return Counter(re.split(r": | \(", reason)[0] for reason in reasons).most_common()


def _chosen(source: Source, text: str, options: PrepareOptions) -> Indices:
    """Which samples, sorted: all, or a seeded random subset."""
    total, num_images = len(source), options.num_images
    if num_images is None or num_images == total:
        return np.arange(total, dtype=np.int64)
    if not 0 < num_images < total:
        raise PoiseError(f"--num-images {num_images}: '{text}' holds {total} images")
    shuffled = np.random.default_rng(options.seed).permutation(total).astype(np.int64)
    return np.sort(shuffled[:num_images])


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
    work = Work(folder, parts, {number: len(span) for number, span in enumerate(spans)})
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

    from poise.cluster.connection import start_ray

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
    write_text(folder / QUARANTINE_FILE, "".join(f"{e.model_dump_json()}\n" for e in quarantined))
    manifest = _manifest(folder.name, request, classes, reports, quarantined)
    write_text(folder / MANIFEST_FILE, manifest.model_dump_json(indent=2))
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
