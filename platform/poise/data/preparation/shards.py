"""Checks, measures and writes one shard of a dataset.

In: a ``Part`` of a source. Out: a Parquet file of the images that can be decoded, and a
``ShardReport`` on all images. Next: ``poise.data.preparation.ingest`` makes a manifest from the
reports.
"""

import hashlib
import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from poise.config.base import Strict
from poise.config.locations import Location
from poise.data.annotations import COLUMNS
from poise.data.manifest import AnnotationKind, Bounds, Shard
from poise.data.parquet_file import parquet_file
from poise.data.preparation.value_ranges import Extent, extent_of
from poise.data.sources.base import Part, Sample, hash_of
from poise.data.views.bit_depth import DeepImage
from poise.data.views.decode import BadImageError, decode_rgb, read_image

ROWS_PER_GROUP = 128
"""Number of images in one row group, which readers load as a whole. These images take 14 MB for
ImageNet's photographs and 300 kB for CIFAR-10.
"""

_LEVELS = np.arange(256) / 255.0
_COLUMNS = [("image", pa.binary()), ("label", pa.int64()), ("path", pa.string())]


Sums = tuple[float, float, float]
Moments = tuple[Sums, Sums]
"""Sum over images of each channel's mean, and sum of each channel's mean square."""


class Quarantined(Strict):
    """Unusable image, which the dataset leaves out, with the reason."""

    path: str
    reason: str


class ShardReport(Strict):
    """Report on one part of a source, made after the part's shard was written."""

    shard: Shard | None
    """Shard that was written; None if no image was usable."""

    num_bytes: int
    digests: str
    """SHA-256 of each sample's label and bytes, in order, in hexadecimal form."""

    channel_sums: Sums
    channel_square_sums: Sums
    """Sums over images of each channel's mean and mean square, for values in [0, 1]. All images
    have the same weight.
    """

    extents: tuple[Extent, ...]
    """Lowest and highest values of the images of more than eight bits. The channel sums do not
    include these images.
    """

    mask_values: tuple[int, ...]
    """Values that occur in the masks, in ascending order."""

    annotation_digests: str
    """SHA-256 of each sample's annotations, in order, in hexadecimal form. The text is empty if the
    source has no annotations.
    """

    quarantined: tuple[Quarantined, ...]

    def with_moments(self, moments: Moments) -> "ShardReport":
        """Returns a copy of this report with the sums of more images added to its channel sums."""
        sums, squares = _as_tuples(
            np.array([self.channel_sums, self.channel_square_sums]) + np.array(moments)
        )
        return self.model_copy(update={"channel_sums": sums, "channel_square_sums": squares})


class _Tally:
    """Collects the report on a shard while its samples are read."""

    def __init__(self, kinds: Sequence[AnnotationKind]) -> None:
        self.columns = [name for kind in kinds for name in COLUMNS[kind]]
        self.mask_values = np.zeros(256, dtype=np.bool_)
        self.annotation_digests: list[str] = []
        self.digests: list[str] = []
        self.moments = np.zeros((2, 3))
        self.extents: list[Extent] = []
        self.quarantined: list[Quarantined] = []

    def usable(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Yields the samples that can be decoded, after adding them to the report."""
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

    def report(self, name: str, written: "_Hashed | None") -> ShardReport:
        """Returns the report on the shard.

        ``written`` is the shard's file, or None if no sample was usable.
        """
        count = len(self.digests)
        shard = Shard(file=name, num_samples=count, sha256=written.sha256) if written else None
        sums, squares = _as_tuples(self.moments)
        return ShardReport(
            shard=shard,
            num_bytes=written.num_bytes if written else 0,
            digests="".join(self.digests),
            channel_sums=sums,
            channel_square_sums=squares,
            extents=tuple(self.extents),
            quarantined=tuple(self.quarantined),
            mask_values=tuple(np.flatnonzero(self.mask_values).tolist()),
            annotation_digests="".join(self.annotation_digests),
        )


def write_shard(part: Part, place: Location, kinds: Sequence[AnnotationKind] = ()) -> ShardReport:
    """Writes the part's usable images to a file, which appears only when it is complete.

    Args:
        part: images to write.
        place: location of the shard.
        kinds: kinds of annotations that every sample has.

    Raises:
        PoiseError: the source's own file is damaged, or an annotation does not fit its image.
        OSError: the disk is full or not writable.
    """
    tally, written = _Tally(kinds), None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about damage that changes no pixel
        groups = _groups(tally.usable(part.samples()))
        first = next(groups, None)
        if first:
            with place.writing() as file:
                written = _Hashed(file)
                _write_groups(written, _schema(kinds), first, groups)
    return tally.report(place.name, written)


def deep_moments(place: Location, rows: Sequence[int], ranges: Mapping[str, Bounds]) -> Moments:
    """Computes the channel sums of some images in a shard, decoded with the dataset's ranges.

    Args:
        place: location of the shard.
        rows: rows of the images in the shard, in ascending order.
        ranges: see ``poise.data.views.decode.decode_rgb``.

    Returns:
        The sums of means and of mean squares, as in ``ShardReport``.
    """
    moments = np.zeros((2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # see ``write_shard``
        with parquet_file(place) as file:
            for group, places in groupby(rows, lambda row: row // ROWS_PER_GROUP):
                images = file.read_row_group(group, columns=["image"])["image"]
                for row in places:
                    data = images[row - group * ROWS_PER_GROUP].as_py()
                    moments += _moments(decode_rgb(data, ranges))
    return _as_tuples(moments)


@dataclass
class _Hashed:
    """File that computes the SHA-256 while it is written, so that it need not be read again."""

    file: IO[bytes]
    num_bytes: int = 0
    closed: bool = False
    _digest: Any = field(default_factory=hashlib.sha256)

    def write(self, data: Any) -> int:
        """Appends bytes to the file."""
        count = memoryview(data).nbytes
        self._digest.update(data)
        self.file.write(data)
        self.num_bytes += count
        return count

    def flush(self) -> None:
        """Does nothing, because closing the underlying file also flushes it."""

    def close(self) -> None:
        """Marks this object as closed. The caller closes the underlying file."""
        self.closed = True

    @property
    def sha256(self) -> str:
        """SHA-256 of all bytes that were written, in hexadecimal form."""
        return str(self._digest.hexdigest())


def _schema(kinds: Sequence[AnnotationKind]) -> pa.Schema:
    return pa.schema(_COLUMNS + [column for kind in kinds for column in COLUMNS[kind].items()])


def _write_groups(
    file: "_Hashed", schema: pa.Schema, first: list[Sample], rest: Iterator[list[Sample]]
) -> None:
    with pq.ParquetWriter(
        file,
        schema,
        compression="none",  # images are compressed already
        use_dictionary=["label"],
        write_statistics=["label"],  # statistics of the images would make the footer large
    ) as writer:
        writer.write_table(_table(first, schema), row_group_size=ROWS_PER_GROUP)
        for group in rest:
            writer.write_table(_table(group, schema), row_group_size=ROWS_PER_GROUP)


def _groups(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    """Yields samples in lists, one for each row group.

    Every list is full, except perhaps the last.
    """
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
