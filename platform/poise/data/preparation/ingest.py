"""Makes a Poise dataset from any source of images.

In: the arguments of ``poise data prepare``. Out: a folder with Parquet shards of the original
encoded bytes, ``quarantine.jsonl`` and, written last, the manifest. Next: ``poise.data.dataset``
reads the folder.

The division of images into shards depends only on the inputs. So one process and many processes
write the same files. ``poise.data.preparation.preparation_progress`` records which shards are
finished.
"""

import hashlib
import json
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from poise.config.errors import PoiseError
from poise.config.locations import AnyLocation, Location
from poise.config.storage import MissingFileError
from poise.data.manifest import MANIFEST_FILE, Manifest, ValueRange
from poise.data.preparation.preparation_progress import (
    REPORTS_FOLDER,
    Preparation,
    PrepareProgress,
    Request,
    alone_in,
    claim,
)
from poise.data.preparation.shards import (
    ROWS_PER_GROUP,
    Quarantined,
    ShardReport,
    deep_moments,
    write_shard,
)
from poise.data.preparation.tasks import carry_out
from poise.data.preparation.value_ranges import check_range, decide_ranges
from poise.data.sources.base import ImageSource, Indices, hash_of
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from poise.data.sources.safe_names import is_utf8, shown
from poise.data.sources.walk import is_folder

_log = logging.getLogger(__name__)

SAMPLES_PER_SHARD = 1024
"""Number of images in one shard. One task writes one shard, so an interruption loses at most one
shard per task.
"""

QUARANTINE_FILE = "quarantine.jsonl"

_LAYOUT = "2"
"""Version of the shards' layout. The key of every ``Request`` contains this version. Increase the
version when a change in the code makes different shards from the same inputs.
"""


def prepare(
    source: str,
    destination: AnyLocation,
    options: PrepareOptions | None = None,
    parallel: bool | None = None,
    on_progress: Callable[[PrepareProgress], None] = lambda progress: None,
) -> Manifest:
    """Makes a dataset from a source.

    If the folder contains an unfinished dataset of the same inputs, this function continues the
    preparation. If the dataset is finished, it returns at once.

    Args:
        source: see ``poise.data.sources.opening.open_source``.
        destination: folder of the dataset, or its URI; on a cluster, all machines must reach it.
        options: which images to take and how to read them; None means ``PrepareOptions()``.
        parallel: True uses Ray, False uses this process; None decides by the number of shards.
        on_progress: function that is called after each shard.

    Returns:
        The manifest. Its channel statistics are exact, and every image has the same weight.

    Raises:
        PoiseError: the source or an option is wrong, the folder contains another dataset, another
            process prepares a dataset in this folder, the disk cannot be written to, or no image is
            usable.
    """
    folder = Location.of(destination).absolute()
    if not is_utf8(str(folder)):
        raise PoiseError(f"{shown(str(folder))}: this path is not UTF-8; give another folder")
    if _lies_in(folder, source):
        raise PoiseError(f"{destination}: lies in the source '{source}'; give a folder outside it")
    options = options or PrepareOptions()
    opened = open_source(source, options, str(destination))
    for note in opened.notes:
        _log.info(note)
    indices = _chosen(opened, source, options)
    asked = " ".join([source, *replace(options, seed=0).arguments()])
    seed = str(options.seed).encode()
    value_range = check_range(options.value_range)
    key = hash_of(_LAYOUT.encode(), opened.key.encode(), indices.tobytes(), seed)
    if value_range:
        key = hash_of(key.encode(), json.dumps(value_range).encode())
    request = Request(source=asked, seed=options.seed, key=key, value_range=value_range)
    try:
        with alone_in(folder):
            finished = claim(folder, request)
            return finished or _make(folder, request, opened, indices, parallel, on_progress)
    except OSError as error:
        raise PoiseError(f"{folder}: cannot be written to: {error.strerror or error}") from None


def quarantine_reasons(folder: AnyLocation) -> list[tuple[str, int]]:
    """Returns each reason with its number of unusable images, the most frequent reason first."""
    reasons: Counter[str] = Counter()
    try:
        lines = (Location.of(folder) / QUARANTINE_FILE).read_text().splitlines()
    except (OSError, UnicodeDecodeError, MissingFileError):
        lines = []  # the manifest has the number of unusable images
    for line in lines:
        with suppress(ValidationError):  # somebody changed the line
            reasons[re.split(r": | \(", Quarantined.model_validate_json(line).reason)[0]] += 1
    return reasons.most_common()


def _lies_in(folder: Location, source: str) -> bool:
    """Returns True if the new dataset's folder lies in the folder of its source."""
    if not is_folder(source):
        return False
    there = Location.of(source)
    if folder.is_local and there.is_local:
        return Path(os.path.realpath(folder)).is_relative_to(there.local.resolve())
    above = f"{there.path}/" if there.path else ""  # the path of a whole bucket is empty
    return folder.storage == there.storage and f"{folder.path}/".startswith(above)


def _chosen(source: ImageSource, text: str, options: PrepareOptions) -> Indices:
    """Returns the sorted positions of the samples to take.

    These are all samples, or a random subset that the seed decides.
    """
    total, num_images = len(source), options.num_images
    if not total:
        raise PoiseError(f"{shown(text)}: holds no images")
    if num_images is None or num_images == total:
        return np.arange(total, dtype=np.int64)
    if not 0 < num_images < total:
        raise PoiseError(f"--num-images {num_images}: '{text}' holds {total} images")
    shuffled = np.random.default_rng(options.seed).permutation(total).astype(np.int64)
    return np.sort(shuffled[:num_images])


def _make(
    folder: Location,
    request: Request,
    source: ImageSource,
    indices: Indices,
    parallel: bool | None,
    on_progress: Callable[[PrepareProgress], None],
) -> Manifest:
    spans = np.split(indices, range(SAMPLES_PER_SHARD, len(indices), SAMPLES_PER_SHARD))
    parts = {number: source.part(span) for number, span in enumerate(spans)}
    work = Preparation(folder, parts, {number: len(span) for number, span in enumerate(spans)})
    work.recover()
    on_progress(work.progress())
    left = {
        number: (part, work.shard(number), source.annotations.kinds)
        for number, part in parts.items()
        if number not in work.reports
    }
    for number, report in carry_out(write_shard, left, parallel):
        work.finish(number, report)
        on_progress(work.progress())
    extents = [extent for report in work.reports.values() for extent in report.extents]
    ranges = decide_ranges(extents, request.value_range)
    reports = list(_measured(work, ranges, parallel))
    return _complete(folder, request, source, reports, ranges)


def _measured(
    work: Preparation, ranges: Mapping[str, ValueRange], parallel: bool | None
) -> Iterator[ShardReport]:
    """Yields the shards' reports in order, after adding images of more than eight bits to the sums.

    These images are decoded a second time, because their range is known only after all shards.
    """
    bounds = {name: (each.low, each.high) for name, each in ranges.items()}
    deep = {
        number: (work.shard(number), [extent.row for extent in report.extents], bounds)
        for number, report in work.reports.items()
        if report.extents
    }
    found = dict(carry_out(deep_moments, deep, parallel))
    for number in sorted(work.reports):
        report = work.reports[number]
        yield report.with_moments(found[number]) if number in found else report


def _complete(
    folder: Location,
    request: Request,
    source: ImageSource,
    reports: list[ShardReport],
    ranges: dict[str, ValueRange],
) -> Manifest:
    """Writes the list of unusable images and, as the last file, the manifest."""
    quarantined = [entry for report in reports for entry in report.quarantined]
    lines = "".join(f"{entry.model_dump_json()}\n" for entry in quarantined)
    (folder / QUARANTINE_FILE).write_text(lines)
    manifest = _manifest(folder.name, request, source, reports, ranges)
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2))
    (folder / REPORTS_FOLDER).delete_folder()
    if folder.is_local:
        for leftover in folder.local.glob(".*.tmp"):  # of runs that were killed
            leftover.unlink(missing_ok=True)
    return manifest


def _manifest(
    name: str,
    request: Request,
    source: ImageSource,
    reports: list[ShardReport],
    ranges: dict[str, ValueRange],
) -> Manifest:
    quarantined = [entry for report in reports for entry in report.quarantined]
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
    if source.named_labels and source.classes:  # a label is an index into the names
        digests += hash_of(*(name.encode() for name in source.classes)).encode()
    annotations = source.annotations
    return Manifest(
        name=name,
        source=request.source,
        seed=request.seed,
        num_samples=count,
        num_quarantined=len(quarantined),
        classes=source.classes,
        channel_mean=(mean[0], mean[1], mean[2]),
        channel_std=(std[0], std[1], std[2]),
        value_ranges=ranges,
        fingerprint=hashlib.sha256(digests + _bounds_digest(ranges)).hexdigest(),
        annotations=annotations.kinds,
        mask_classes=annotations.mask_classes,
        mask_values=tuple(sorted({value for report in reports for value in report.mask_values})),
        box_classes=annotations.box_classes,
        annotation_fingerprint=_annotation_fingerprint(reports),
        rows_per_group=ROWS_PER_GROUP,
        shards=shards,
    )


def _bounds_digest(ranges: Mapping[str, ValueRange]) -> bytes:
    """Returns bytes that change if the value ranges change; empty if all images have eight bits."""
    bounds = [(name, each.low, each.high) for name, each in sorted(ranges.items())]
    return json.dumps(bounds).encode() if bounds else b""


def _annotation_fingerprint(reports: list[ShardReport]) -> str:
    digests = bytes.fromhex("".join(report.annotation_digests for report in reports))
    return hashlib.sha256(digests).hexdigest() if digests else ""
