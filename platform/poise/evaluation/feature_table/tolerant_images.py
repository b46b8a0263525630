"""Reads the images of a collection in batches. An unreadable image does not stop the job.

In: a ``Collection``. Out: batches of uint8 images of one size, and for each unreadable image the
reason. Next: ``poise.evaluation.reading.dataset_pass``.

An unreadable image is black in its batch. So all batches have the same shape, and every image keeps
its position. Reasons are stored as UTF-8 bytes, because batches consist of tensors.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.config.locations import Location
from poise.data.sources.base import Part
from poise.data.views.decode import BadImageError, decode_rgb
from poise.evaluation.feature_table.collection import Collection
from poise.evaluation.reading.image_sets import Batch
from poise.evaluation.reading.images import in_threads, num_cpus, resize_and_crop

_REASON_BYTES = 240
_MAX_DECODING_THREADS = 8


class TolerantImages:
    """Images of a collection, resized and cropped as in the published evaluation of DINO.

    A batch has reasons uint8 [b, 240] in place of labels. A readable image has only zeros there.
    ``reasons_of`` decodes the reasons. No image stays in memory.
    """

    def __init__(
        self,
        collection: Collection,
        image_px: int,
        sample_ids: NDArray[np.int64] | None = None,
    ) -> None:
        """Chooses the images and reads none yet.

        Args:
            collection: images to read.
            image_px: side of the prepared images in pixels.
            sample_ids: ascending positions of the images. None takes all images.
        """
        self.image_px = image_px
        everything = np.arange(len(collection), dtype=np.int64)
        self.sample_ids = everything if sample_ids is None else sample_ids
        self._collection = collection

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def folder(self) -> Location:
        """Folder of the images."""
        return self._collection.folder

    @property
    def opener(self) -> Callable[[], "TolerantImages"]:
        """Function that opens the whole collection in another process."""
        return partial(TolerantImages, self._collection, self.image_px)

    def only(self, positions: NDArray[np.int64]) -> "TolerantImages":
        """Returns the images at some positions, which are in ascending order."""
        return TolerantImages(self._collection, self.image_px, self.sample_ids[positions])

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yields images [b, 3, px, px] and reasons [b, 240], in order."""
        return in_threads(self.pieces(batch_size), min(_MAX_DECODING_THREADS, num_cpus()))

    def pieces(self, batch_size: int) -> Iterator[Callable[[], Batch]]:
        """Yields one function per batch that prepares the batch.

        Call each function once, in any thread.
        """
        for start in range(0, len(self), batch_size):
            ids = self.sample_ids[start : start + batch_size]
            yield partial(self._prepare, self._collection.part(ids), len(ids))

    def _prepare(self, part: Part, count: int) -> Batch:
        pixels = np.zeros((count, self.image_px, self.image_px, 3), dtype=np.uint8)
        reasons = torch.zeros((count, _REASON_BYTES), dtype=torch.uint8)
        for index, sample in enumerate(part.samples()):
            try:
                if sample.fault is not None:
                    raise BadImageError(sample.fault)
                image = decode_rgb(sample.image, self._collection.ranges)
                pixels[index] = np.asarray(resize_and_crop(image, self.image_px))
            except BadImageError as error:
                text = str(error).encode("utf-8", "replace")[:_REASON_BYTES]
                reasons[index, : len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), reasons


def reasons_of(reasons: Tensor) -> list[str | None]:
    """Decodes the reasons of a batch, uint8 [b, 240], to texts. A readable image has None."""
    texts = (bytes(row.tolist()).rstrip(b"\0").decode("utf-8", "ignore") for row in reasons)
    return [text or None for text in texts]
