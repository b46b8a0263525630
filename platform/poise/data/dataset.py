"""Reads a prepared dataset from disk by sample id.

In: a folder of Parquet shards and its manifest. Out: ``EncodedBatch``, which holds images as their
original bytes. Next: ``poise.data.views`` decodes and crops them; ``poise.evaluation`` reads whole
images.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from poise.config.errors import PoiseError, one_line
from poise.config.paths import given_path
from poise.data.manifest import Bounds, Manifest, Shard

CACHE_BYTES = 2 * 2**30


@dataclass(frozen=True)
class PackedImages(Sequence[bytes]):
    """Encoded images in one buffer, one after the other, so that they can be sent as one array."""

    data: NDArray[np.uint8]  # [Σ bytes]
    ends: NDArray[np.int64]  # [B], end of each image in ``data``

    @classmethod
    def of(cls, images: Sequence[bytes]) -> "PackedImages":
        """Packs images into one buffer."""
        if isinstance(images, PackedImages):
            return images
        ends = np.cumsum([len(image) for image in images], dtype=np.int64)
        return cls(np.frombuffer(b"".join(images), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[one] for one in range(len(self))[index]]
        index = range(len(self))[
            index
        ]  # counts from the end, and checks the range, like any sequence
        start = self.ends[index - 1] if index else 0
        return self.data[start : self.ends[index]].tobytes()


@dataclass(frozen=True)
class EncodedBatch:
    """Images that are not decoded yet, in the order of the request."""

    images: Sequence[bytes]  # [B] JPEG, PNG, …
    labels: NDArray[np.int64]  # [B], -1 if unknown
    sample_ids: NDArray[np.int64]  # [B], row numbers in the dataset
    ranges: Mapping[str, Bounds] = field(default_factory=dict)  # from the manifest

    def __len__(self) -> int:
        return len(self.sample_ids)


def group_sizes(manifest: Manifest) -> NDArray[np.int64]:
    """Returns the number of rows of every row group over all shards, in order."""
    rows = manifest.rows_per_group
    sizes: list[int] = []
    for shard in manifest.shards:
        whole, rest = divmod(shard.num_samples, rows)
        sizes += [rows] * whole + [rest] * bool(rest)
    return np.array(sizes, dtype=np.int64)


def class_counts(folder: str | Path, manifest: Manifest) -> NDArray[np.int64]:
    """Counts the images of every class in label order, then the images without a label: [C + 1].

    Raises:
        PoiseError: a shard cannot be read.
    """
    counts = np.zeros(len(manifest.classes) + 1, dtype=np.int64)
    for shard in manifest.shards:
        path = Path(folder) / shard.file
        try:
            with pq.ParquetFile(path) as opened:
                labels = opened.read(columns=["label"])["label"].to_numpy()
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from None
        known = (labels >= 0) & (labels < len(manifest.classes))
        counts += np.bincount(np.where(known, labels, len(counts) - 1), minlength=len(counts))
    return counts


def _unreadable(path: Path, error: Exception) -> PoiseError:
    return PoiseError(
        f"{path}: cannot be read ({one_line(error)}); "
        "copy the dataset again or run `poise data prepare` again"
    )


class ImageDataset:
    """Prepared dataset with random access. It reads one row group at a time.

    Row groups stay in memory up to ``cache_bytes``; the least recently used are dropped first.
    Threads must not share an object. Open one for each thread.
    """

    def __init__(self, folder: Path, manifest: Manifest, cache_bytes: int = CACHE_BYTES) -> None:
        self.folder = folder
        self.manifest = manifest
        self._ends = np.cumsum(group_sizes(manifest))
        self._addresses = [
            (shard, group)
            for shard in manifest.shards
            for group in range(-(-shard.num_samples // manifest.rows_per_group))
        ]
        self._files: dict[str, pq.ParquetFile] = {}
        self._cache: OrderedDict[int, pa.Table] = OrderedDict()
        self._cache_bytes = cache_bytes
        self._cached_bytes = 0

    @classmethod
    def open(cls, folder: str | Path, cache_bytes: int = CACHE_BYTES) -> "ImageDataset":
        """Opens the dataset in ``folder``.

        Raises:
            PoiseError: the folder holds no prepared dataset, or one of its shards is missing.
        """
        folder, manifest = given_path(folder), Manifest.read(folder)
        for shard in manifest.shards:
            if not (folder / shard.file).is_file():
                raise PoiseError(
                    f"{folder}: shard {shard.file}, listed in its manifest, is missing; "
                    "copy the dataset again or run `poise data prepare` again"
                )
        return cls(folder, manifest, cache_bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Sends the address to another process, which opens its own files."""
        return type(self), (self.folder.absolute(), self.manifest, self._cache_bytes)

    def __len__(self) -> int:
        return self.manifest.num_samples

    @property
    def mean_bytes(self) -> float:
        """Average size of a sample on disk, in bytes."""
        files = (self.folder / shard.file for shard in self.manifest.shards)
        return sum(file.stat().st_size for file in files) / len(self)

    def read(self, sample_ids: NDArray[np.int64]) -> EncodedBatch:
        """Reads the encoded images with these ids, in this order. An id may occur several times.

        Raises:
            IndexError: an id is not one of 0 … ``len(self)`` − 1.
            PoiseError: a shard cannot be read.
        """
        ids = np.asarray(sample_ids, dtype=np.int64)
        if len(ids) and not 0 <= ids.min() <= ids.max() < len(self):
            raise IndexError(f"sample ids must be from 0 to {len(self) - 1}")
        groups = np.searchsorted(self._ends, ids, side="right")
        labels = np.empty(len(ids), dtype=np.int64)
        found: list[NDArray[np.uint8]] = [_NOTHING] * len(ids)
        for group in np.unique(groups):
            table = self._group(int(group))
            positions = np.flatnonzero(groups == group)
            rows = ids[positions] - (self._ends[group] - len(table))
            labels[positions] = table["label"].to_numpy()[rows]
            values, offsets = _buffers(table["image"].chunk(0))
            for position, row in zip(positions.tolist(), rows.tolist(), strict=True):
                found[position] = values[offsets[row] : offsets[row + 1]]
        ends = np.cumsum([len(image) for image in found], dtype=np.int64)
        packed = np.concatenate(found) if found else _NOTHING
        return EncodedBatch(PackedImages(packed, ends), labels, ids, self.manifest.ranges)

    def _group(self, index: int) -> pa.Table:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        table = self._load(*self._addresses[index])
        self._cache[index] = table
        self._cached_bytes += table.nbytes
        while self._cached_bytes > self._cache_bytes and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= oldest.nbytes
        return table

    def _load(self, shard: Shard, group: int) -> pa.Table:
        path = self.folder / shard.file
        try:
            if shard.file not in self._files:
                self._files[shard.file] = pq.ParquetFile(path, memory_map=True)
            table = self._files[shard.file].read_row_group(
                group, columns=["image", "label"], use_threads=False
            )
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from None
        rows = self.manifest.rows_per_group
        if len(table) != min(rows, shard.num_samples - group * rows):
            raise PoiseError(
                f"{path}: row group {group} has {len(table)} rows, not those of the manifest; "
                "run `poise data prepare` again"
            )
        return table.combine_chunks()


_NOTHING = np.empty(0, dtype=np.uint8)


def _buffers(images: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns the bytes of an Arrow array of images, and their offsets.

    The offsets are the start of each image and the end of the last.
    """
    _, offsets, values = images.buffers()
    kind = np.int64 if pa.types.is_large_binary(images.type) else np.int32
    begins = np.frombuffer(offsets, kind)[images.offset : images.offset + len(images) + 1]
    return np.frombuffer(values, np.uint8), begins.astype(np.int64)
