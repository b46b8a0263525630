"""Image files in the folders of a published benchmark, read as if they were a prepared dataset.

In: a folder and the names of files in it. Out: an ``ImageDataset``. Next: passes over images.

Oxford, Paris and Copydays are test sets of a few thousand images with a fixed list of files. They
need neither shards nor labels.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.config.errors import PoiseError, one_line
from poise.data.dataset import EncodedBatch, ImageDataset, PackedImages
from poise.data.manifest import Manifest
from poise.data.sources.base import NO_LABEL, hash_of

_UNKNOWN = (0.0, 0.0, 0.0)  # colours of a benchmark are not measured; models bring their own


class ImageFiles(ImageDataset):
    """Image files by name. A sample's id is the position of its name."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Lists the files without reading any.

        Args:
            folder: folder of the benchmark, whose name is the dataset's.
            names: paths of the files in the folder, with forward slashes.
        """
        self.names = tuple(names)
        manifest = Manifest(
            name=folder.absolute().name,
            source=str(folder),
            seed=0,
            num_samples=len(self.names),
            num_quarantined=0,
            classes=(),
            channel_mean=_UNKNOWN,
            channel_std=_UNKNOWN,
            fingerprint=hash_of("\n".join(self.names).encode("utf-8", "surrogateescape")),
            rows_per_group=1,
            shards=(),
        )
        super().__init__(folder, manifest)

    def __reduce__(self) -> tuple[Any, ...]:
        """Sends folder and names to another process."""
        return type(self), (self.folder.absolute(), self.names)

    @property
    def mean_bytes(self) -> float:
        """Returns the average size of a file in bytes."""
        sizes = [(self.folder / name).stat().st_size for name in self.names]
        return sum(sizes) / len(sizes)

    def read(self, sample_ids: NDArray[np.int64]) -> EncodedBatch:
        """Reads the files with these ids, in this order.

        Raises:
            PoiseError: a file cannot be read.
        """
        ids = np.asarray(sample_ids, dtype=np.int64)
        labels = np.full(len(ids), NO_LABEL, dtype=np.int64)
        return EncodedBatch(PackedImages.of(list(self._contents(ids))), labels, ids)

    def _contents(self, ids: NDArray[np.int64]) -> Iterator[bytes]:
        for sample_id in ids.tolist():
            path = self.folder / self.names[sample_id]
            try:
                yield path.read_bytes()
            except OSError as error:
                raise PoiseError(
                    f"{path}: cannot be read ({one_line(error)}); the benchmark's list names it, "
                    "so unpack the benchmark again"
                ) from None
