"""Computes the features of every image of a collection.

In: a backbone and a ``Collection``. Out: a Parquet file with one row for each readable image, in
the order of the collection. Next: the user's own programs.

Rows are written in parts, at least every half minute. So a job that is killed loses little work,
and memory contains the rows of one part only.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.data.sources.base import NO_LABEL
from poise.evaluation.feature_table.collection import Collection
from poise.evaluation.feature_table.parts import Parts, Skipped
from poise.evaluation.feature_table.tolerant_images import TolerantImages, reasons_of
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.features import NamedFeatures
from poise.evaluation.reading.inference import Bench

PROTOCOL: Final = "embed/center-crop-v1"
"""Id of the protocol.

The shorter side is scaled to px·256/224 (bicubic), the centre of px × px is cut out, and features
are float32.
"""

_SECONDS_PER_PART = 30.0
_IMAGES_PER_PART = 8192


@dataclass(frozen=True)
class EmbeddingJob:
    """Images to embed, and the Parquet file that gets a row of features for each image."""

    collection: Collection
    image_px: int
    out: Path
    request: dict[str, Any]
    """Facts that determine the rows: model, features, protocol, source. The file stores them as
    metadata.
    """

    seconds_per_part: float = _SECONDS_PER_PART


@dataclass(frozen=True)
class Embedded:
    """Result of a job: the number of images with a row in the file, and the skipped images."""

    rows: int
    skipped: list[Skipped] = field(repr=False)
    resumed_from: int
    """Number of images that an earlier, interrupted job had finished."""


def embed_collection(
    module: nn.Module,
    job: EmbeddingJob,
    bench: Callable[[int], Bench],
) -> Embedded:
    """Writes the features of a collection's images, and continues an interrupted job.

    Args:
        module: module on the device of the bench. It turns normalised images into features [b, D].
        job: images and destination.
        bench: function that takes the number of images and returns the ``Bench``, which passes them
            through the module.

    Raises:
        PoiseError: no image can be read, a feature is not finite, or the file cannot be written.
    """
    parts = Parts(job.out)
    with parts.claimed(job.request):
        start = parts.covered()
        images = TolerantImages(job.collection, job.image_px)
        left = images.only(np.arange(start, len(images), dtype=np.int64))
        if len(left):
            answers = image_pass(NamedFeatures(module), left, bench(len(left)))
            _write_parts(parts, job, start, ((o["features"], r) for o, r in answers))
        rows, skipped = parts.join(job.request | {"classes": job.collection.classes})
    if not rows:
        raise PoiseError(
            f"{job.collection.folder}: none of its {len(images)} files can be read as an image, "
            f"for example {skipped[0].path}: {skipped[0].reason}"
        )
    return Embedded(rows, skipped, start)


def _write_parts(
    parts: Parts, job: EmbeddingJob, start: int, answers: Iterator[tuple[Tensor, Tensor]]
) -> None:
    """Collects the features of batches, and writes a part file after 30 s or 8192 images."""
    features: list[Any] = []
    reasons: list[str | None] = []
    began = time.monotonic()
    for found, marks in answers:
        features.append(found.float().cpu().numpy())
        reasons += reasons_of(marks)
        is_due = time.monotonic() - began >= job.seconds_per_part
        if is_due or len(reasons) >= _IMAGES_PER_PART:
            start = _write_part(parts, job, start, (np.concatenate(features), reasons))
            features, reasons, began = [], [], time.monotonic()
    if reasons:
        _write_part(parts, job, start, (np.concatenate(features), reasons))


def _write_part(
    parts: Parts, job: EmbeddingJob, start: int, found: tuple[Any, list[str | None]]
) -> int:
    """Writes a part with the rows of consecutive images, and returns the next position."""
    features, reasons = found
    stop = start + len(reasons)
    ids = np.arange(start, stop, dtype=np.int64)
    good = np.array([reason is None for reason in reasons])
    paths = job.collection.paths(ids)
    skipped = [
        Skipped(path, reason)
        for path, reason in zip(paths, reasons, strict=True)
        if reason is not None
    ]
    columns = {
        "id": pa.array(ids[good]),
        "path": pa.array([path for path, kept in zip(paths, good, strict=True) if kept], "string"),
    }
    if job.collection.classes:
        labels = np.array(job.collection.labels(ids), dtype=np.int64)[good]
        columns["label"] = pa.array(labels, mask=labels == NO_LABEL)
    dim = features.shape[1]
    values = pa.array(np.ascontiguousarray(features[good], dtype=np.float32).ravel())
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(values, dim)
    parts.add(start, stop, pa.table(columns), skipped)
    return stop
