"""Reads a prepared dataset by sample id, from a folder or from object storage.

In: a folder with Parquet shards and a manifest. Out: ``EncodedBatch``, which contains the images'
original bytes. Next: ``poise.data.views`` decodes and crops images; ``poise.evaluation`` uses whole
images.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.config.locations import AnyLocation, Location
from poise.config.outages import is_outage, patiently
from poise.data.manifest import Bounds, Manifest, Shard
from poise.data.parquet_file import parquet_file, unreadable

CACHE_BYTES = 2 * 2**30

_ONE_PASS_BYTES = 2**28
_OPEN_FILES = 64


@dataclass(frozen=True)
class PackedImages(Sequence[bytes]):
    """Encoded images in one buffer, so that all of them can be sent to a process as one array."""

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
    """Encoded images, in the order in which they were requested."""

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


def class_counts(folder: AnyLocation, manifest: Manifest) -> NDArray[np.int64]:
    """Counts the images of every class in label order, then the images without a label: [C + 1].

    Raises:
        PoiseError: a shard cannot be read.
    """
    counts = np.zeros(len(manifest.classes) + 1, dtype=np.int64)
    for shard in manifest.shards:
        path = Location.of(folder) / shard.file
        try:
            with parquet_file(path) as opened:
                labels = opened.read(columns=["label"])["label"].to_numpy()
        except (OSError, pa.ArrowException) as error:
            raise unreadable(path, error) from None
        known = (labels >= 0) & (labels < len(manifest.classes))
        counts += np.bincount(np.where(known, labels, len(counts) - 1), minlength=len(counts))
    return counts


class ImageDataset:
    """Prepared dataset whose images can be read in any order, one row group at a time.

    Row groups stay in memory up to ``cache_bytes`` in total. The row groups that were used least
    recently are dropped first. Threads must not share a dataset object; each thread opens its own.
    If the storage fails, a read is repeated for ``patience_s`` seconds.
    """

    def __init__(
        self,
        folder: AnyLocation,
        manifest: Manifest,
        cache_bytes: int = CACHE_BYTES,
        patience_s: float = 0.0,
    ) -> None:
        self.folder = Location.of(folder)
        self._patience_s = patience_s
        self.manifest = manifest
        self._ends = np.cumsum(group_sizes(manifest))
        rows = manifest.rows_per_group
        self._group_ends = np.cumsum([-(-each.num_samples // rows) for each in manifest.shards])
        # A large dataset has more shards than a process may open.
        self._file = lru_cache(maxsize=_OPEN_FILES)(parquet_file)
        self._cache: OrderedDict[int, pa.Table] = OrderedDict()
        self.cache_bytes = cache_bytes
        self._cached_bytes = 0

    @classmethod
    def open(
        cls, folder: AnyLocation, cache_bytes: int = CACHE_BYTES, patience_s: float = 0.0
    ) -> "ImageDataset":
        """Opens the dataset in ``folder``.

        Args:
            folder: folder of a prepared dataset.
            cache_bytes: size of the row groups that stay in memory.
            patience_s: seconds during which a read is repeated if the storage fails.

        Raises:
            PoiseError: the folder contains no prepared dataset, or one of its shards is missing.
        """
        look = partial(cls._open_checked, folder, cache_bytes, patience_s)
        return patiently(look, f"opening {folder}", patience_s, is_outage)

    @classmethod
    def for_one_pass(cls, folder: AnyLocation) -> "ImageDataset":
        """Opens a dataset whose images are read once, in order.

        So only a few row groups stay in memory. Masks, labels and pictures need them again soon.

        Raises:
            PoiseError: see ``open``.
        """
        return cls.open(folder, _ONE_PASS_BYTES)

    @classmethod
    def _open_checked(
        cls, folder: AnyLocation, cache_bytes: int, patience_s: float
    ) -> "ImageDataset":
        dataset = cls(folder, Manifest.read(folder), cache_bytes, patience_s)
        for shard in dataset.manifest.shards:
            if shard.file not in dataset.shard_bytes:
                raise PoiseError(
                    f"{folder}: shard {shard.file}, listed in its manifest, is missing; "
                    "copy the dataset again or run `poise data prepare` again"
                )
        return dataset

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles only the folder and the manifest. The other process opens the files itself."""
        arguments = (self.folder.absolute(), self.manifest, self.cache_bytes, self._patience_s)
        return type(self), arguments

    def __len__(self) -> int:
        return self.manifest.num_samples

    @cached_property
    def shard_bytes(self) -> dict[str, int]:
        """Maps the name of each file in the dataset's folder to its size in bytes.

        The folder is listed once.
        """
        return {name: int(file.size) for name, file in self.folder.files().items()}

    @property
    def mean_bytes(self) -> float:
        """Average size of a sample in the shards, in bytes."""
        return sum(self.shard_bytes[shard.file] for shard in self.manifest.shards) / len(self)

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

    def keep_only(self, groups: NDArray[np.int64]) -> None:
        """Removes all row groups from memory except ``groups``."""
        for index in self._cache.keys() - set(groups.tolist()):
            self._cached_bytes -= self._cache.pop(index).nbytes

    def _group(self, index: int) -> pa.Table:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        table = self._load(*self._address(index))
        self._cache[index] = table
        self._cached_bytes += table.nbytes
        while self._cached_bytes > self.cache_bytes and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= oldest.nbytes
        return table

    def _address(self, index: int) -> tuple[Shard, int]:
        """Returns the shard of a row group, and the row group's number in the shard."""
        number = int(np.searchsorted(self._group_ends, index, side="right"))
        before = int(self._group_ends[number - 1]) if number else 0
        return self.manifest.shards[number], index - before

    def _load(self, shard: Shard, group: int) -> pa.Table:
        path = self.folder / shard.file
        read = partial(self._row_group, path, group)
        table = patiently(read, f"reading {path}", self._patience_s, is_outage)
        rows = self.manifest.rows_per_group
        if len(table) != min(rows, shard.num_samples - group * rows):
            raise PoiseError(
                f"{path}: row group {group} has {len(table)} rows, not those of the manifest; "
                "run `poise data prepare` again"
            )
        return table.combine_chunks()

    def _row_group(self, path: Location, group: int) -> pa.Table:
        try:
            file = self._file(path)
            return file.read_row_group(group, columns=["image", "label"], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            self._file.cache_clear()  # another attempt opens the file again
            raise unreadable(path, error) from None


_NOTHING = np.empty(0, dtype=np.uint8)


def _buffers(images: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns the bytes of an Arrow array of images, and the offset of each image in these bytes.

    The last offset is the end of the last image.
    """
    _, offsets, values = images.buffers()
    kind = np.int64 if pa.types.is_large_binary(images.type) else np.int32
    begins = np.frombuffer(offsets, kind)[images.offset : images.offset + len(images) + 1]
    return np.frombuffer(values, np.uint8), begins.astype(np.int64)
