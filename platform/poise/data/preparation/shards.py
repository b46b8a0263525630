"""Checks, measures and writes one shard of a dataset.

In: a ``Part`` of a source. Out: a Parquet file of the images that can be decoded, and a
``ShardReport`` on all images. Next: ``poise.data.preparation.ingest`` joins the reports into a
manifest.
"""

import hashlib
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from poise.config.base import Strict
from poise.data.annotations import COLUMNS
from poise.data.manifest import AnnotationKind, Bounds, Shard
from poise.data.preparation.value_ranges import Extent, extent_of
from poise.data.sources.base import Part, Sample, hash_of
from poise.data.views.decode import BadImageError, decode_rgb, read_image
from poise.data.views.depth import DeepImage

ROWS_PER_GROUP = 128
"""Images in one read. They take 14 MB for ImageNet's photographs and 300 kB for CIFAR-10."""

_LEVELS = np.arange(256) / 255.0
_COLUMNS = [("image", pa.binary()), ("label", pa.int64()), ("path", pa.string())]


Sums = tuple[float, float, float]
Moments = tuple[Sums, Sums]
"""Sums over images: of each channel's mean, and of each channel's mean square."""


class Quarantined(Strict):
    """Image that was set aside, with the reason."""

    path: str
    reason: str


class ShardReport(Strict):
    """Result of writing one part."""

    shard: Shard | None
    """Shard that was written; None if no image of the part was usable."""

    num_bytes: int
    digests: str
    """SHA-256 of each sample's label and bytes, in order, in hexadecimal."""

    channel_sums: Sums
    channel_square_sums: Sums
    """Sums over images of the mean RGB value and of the mean square, in [0, 1]. All images have the
    same weight.
    """

    extents: tuple[Extent, ...]
    """Extents of the images of more than eight bits. The channel sums do not include these images.
    """

    mask_values: tuple[int, ...]
    """Values that occur in the masks, ascending."""

    annotation_digests: str
    """SHA-256 of each sample's annotations, in order, as hexadecimal. It is empty without any."""

    quarantined: tuple[Quarantined, ...]

    def with_moments(self, moments: Moments) -> "ShardReport":
        """Returns this report with more images in its channel sums."""
        sums, squares = _as_tuples(
            np.array([self.channel_sums, self.channel_square_sums]) + np.array(moments)
        )
        return self.model_copy(update={"channel_sums": sums, "channel_square_sums": squares})


class _Tally:
    """Collects a shard's report, sample by sample."""

    def __init__(self, kinds: Sequence[AnnotationKind]) -> None:
        self.columns = [name for kind in kinds for name in COLUMNS[kind]]
        self.mask_values = np.zeros(256, dtype=np.bool_)
        self.annotation_digests: list[str] = []
        self.digests: list[str] = []
        self.moments = np.zeros((2, 3))
        self.extents: list[Extent] = []
        self.quarantined: list[Quarantined] = []

    def usable(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Measures the samples that can be decoded, and yields them."""
        for sample in samples:
            try:
                if sample.fault:
                    raise BadImageError(sample.fault)
                pixels, _ = read_image(sample.image)
            except BadImageError as error:
                self.quarantined.append(Quarantined(path=sample.path, reason=str(error)))
                continue
            if isinstance(pixels, DeepImage):
                self.extents.append(extent_of(len(self.digests), pixels))
            else:
                self.moments += _moments(pixels)
            label = sample.label.to_bytes(8, "little", signed=True)
            self.digests.append(hashlib.sha256(label + sample.image).hexdigest())
            self._add_annotations(sample)
            yield sample

    def _add_annotations(self, sample: Sample) -> None:
        if not self.columns:
            return
        if sample.mask is not None:
            with Image.open(io.BytesIO(sample.mask)) as mask:
                self.mask_values |= np.array(mask.histogram(), dtype=np.bool_)
        rest = {name: getattr(sample, name) for name in self.columns if name != "mask"}
        pieces = (json.dumps(rest, sort_keys=True).encode(), sample.mask or b"")
        self.annotation_digests.append(hash_of(*pieces))

    def report(self, path: Path) -> ShardReport:
        """Returns the report on the written file. If no sample was usable, there is no file."""
        count = len(self.digests)
        shard = Shard(file=path.name, num_samples=count, sha256=_sha256(path)) if count else None
        sums, squares = _as_tuples(self.moments)
        return ShardReport(
            shard=shard,
            num_bytes=path.stat().st_size if count else 0,
            digests="".join(self.digests),
            channel_sums=sums,
            channel_square_sums=squares,
            extents=tuple(self.extents),
            quarantined=tuple(self.quarantined),
            mask_values=tuple(np.flatnonzero(self.mask_values).tolist()),
            annotation_digests="".join(self.annotation_digests),
        )


def write_shard(part: Part, path: Path, kinds: Sequence[AnnotationKind] = ()) -> ShardReport:
    """Writes the part's usable images to ``path``. The file appears only when it is complete.

    Args:
        part: the images.
        path: the shard.
        kinds: annotations that every sample has.

    Raises:
        PoiseError: the part's own file is damaged, or an annotation does not fit its image.
        OSError: the disk is full or not writable.
    """
    tally = _Tally(kinds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about damage that changes no pixel
        groups = _groups(tally.usable(part.samples()))
        first = next(groups, None)
        if first:
            with replacing(path) as temporary:
                _write_groups(temporary, _schema(kinds), first, groups)
    return tally.report(path)


def deep_moments(path: Path, rows: Sequence[int], ranges: Mapping[str, Bounds]) -> Moments:
    """Computes channel sums over some images of a shard, decoded with the dataset's ranges.

    Args:
        path: path of the shard.
        rows: rows of the images in the shard, in ascending order.
        ranges: see ``poise.data.views.decode.decode_rgb``.

    Returns:
        The sums of means and of mean squares, as in ``ShardReport``.
    """
    moments = np.zeros((2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        with pq.ParquetFile(path) as file:
            for group, places in groupby(rows, lambda row: row // ROWS_PER_GROUP):
                images = file.read_row_group(group, columns=["image"])["image"]
                for row in places:
                    data = images[row - group * ROWS_PER_GROUP].as_py()
                    moments += _moments(decode_rgb(data, ranges))
    return _as_tuples(moments)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary file. If the block ends without an error, the file replaces ``path``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _schema(kinds: Sequence[AnnotationKind]) -> pa.Schema:
    return pa.schema(_COLUMNS + [column for kind in kinds for column in COLUMNS[kind].items()])


def _write_groups(
    path: Path, schema: pa.Schema, first: list[Sample], rest: Iterator[list[Sample]]
) -> None:
    with pq.ParquetWriter(
        path,
        schema,
        compression="none",  # images are compressed already
        use_dictionary=["label"],
        write_statistics=["label"],  # statistics of the images would make the footer large
    ) as writer:
        writer.write_table(_table(first, schema), row_group_size=ROWS_PER_GROUP)
        for group in rest:
            writer.write_table(_table(group, schema), row_group_size=ROWS_PER_GROUP)


def _groups(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    """Yields the samples of each row group. Every group is full, except possibly the last."""
    group: list[Sample] = []
    for sample in samples:
        group.append(sample)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


def _table(samples: list[Sample], schema: pa.Schema) -> pa.Table:
    return pa.table(
        {name: [getattr(sample, name) for sample in samples] for name in schema.names},
        schema=schema,
    )


def _moments(image: Image.Image) -> np.ndarray:
    """Returns the exact mean and mean square of each channel over the image's pixels: [2, 3]."""
    shares = np.array(image.histogram()).reshape(3, 256) / (image.width * image.height)
    return np.stack([shares @ _LEVELS, shares @ _LEVELS**2])


def _as_tuples(moments: np.ndarray) -> Moments:
    (a, b, c), (d, e, f) = moments.tolist()
    return (a, b, c), (d, e, f)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
