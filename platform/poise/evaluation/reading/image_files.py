"""Reads the image files of a published benchmark like a prepared dataset.

In: a folder and the names of files in it. Out: an ``ImageDataset``. Next:
``poise.evaluation.reading.dataset_pass``.

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

_UNKNOWN = (0.0, 0.0, 0.0)  # not measured: packages of models contain the normalisation


class ImageFiles(ImageDataset):
    """Dataset of image files.

    The sample id of an image is the position of its name in ``names``.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Stores the names of the files and reads no file.

        Args:
            folder: folder of the benchmark. Its name is also the name of the dataset.
            names: paths of the files relative to the folder, with forward slashes.
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
        """Pickles the folder and the names, so that another process can open the same files."""
        return type(self), (self.folder.absolute(), self.names)

    @property
    def mean_bytes(self) -> float:
        """Average size of a file in bytes."""
        sizes = [(self.folder / name).status().size for name in self.names]
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
