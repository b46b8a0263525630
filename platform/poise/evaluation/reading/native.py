"""Reads whole images at their own size, for object discovery and video.

In: a prepared dataset. Out: batches of uint8 images, each batch of one size, with the sizes of the
original images. Next: ``poise.evaluation.reading.dataset_pass``.

Consecutive images of one size form a batch. Images are not padded here. The padding must be zero
after normalisation, so the module pads (``poise.evaluation.objects.padding``).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.data.dataset import EncodedBatch, ImageDataset
from poise.data.views.decode import BadImageError, decode_rgb, upright_size
from poise.evaluation.reading.image_sets import Batch
from poise.evaluation.reading.images import choose_samples, in_threads, num_cpus

MAX_PATCHES: Final = 6400
"""Default for the largest number of patches of an image.

This is 640 × 640 px with patches of 8 px, the size of the largest images in COCO.
"""

Size = tuple[int, int]
"""Width and height in pixels."""

_MAX_DECODING_THREADS = 8
_SMALL = 256  # images with at most this many patches fit into memory as a full batch


@dataclass(frozen=True)
class NativeSize:
    """Rule for the size at which a whole image is read: its own size, or scaled in proportion."""

    patch_px: int
    """Side of a patch in pixels."""

    max_patches: int = MAX_PATCHES
    """Largest number of patches of an image. A larger image is shrunk, because the cost of
    attention grows with the square of this number.
    """

    shorter_px: int | None = None
    """Length to which the shorter side is resized. None keeps the image's own size."""

    def of(self, size: Size) -> Size:
        """Computes the width and height at which an image of this size is read."""
        scale, fitted = self._wanted(size)
        while self.num_patches(fitted) > self.max_patches:
            # Rounding up to whole patches may add a row and a column, so it may need several steps.
            scale *= min(0.99, math.sqrt(self.max_patches / self.num_patches(fitted)))
            fitted = _scaled(size, scale)
        return fitted

    def is_shrunk(self, size: Size) -> bool:
        """Returns True if an image of this width and height would have too many patches."""
        return self.num_patches(self._wanted(size)[1]) > self.max_patches

    def num_patches(self, size: Size) -> int:
        """Counts the patches of an image with this width and height, after padding."""
        rows, columns = self.grid(size)
        return rows * columns

    def grid(self, size: Size) -> tuple[int, int]:
        """Computes the numbers of rows and columns of patches.

        The image is padded, so a part of a patch at the edge becomes a whole patch.
        """
        return -(-size[1] // self.patch_px), -(-size[0] // self.patch_px)

    def _wanted(self, size: Size) -> tuple[float, Size]:
        scale = self.shorter_px / min(size) if self.shorter_px else 1.0
        return scale, _scaled(size, scale)


def _scaled(size: Size, scale: float) -> Size:
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


@dataclass(frozen=True)
class _Encoded:
    """One image that is not decoded yet."""

    sample_id: int
    data: bytes
    size: Size  # of the original image
    read_at: Size


class NativeImages:
    """Whole images of a dataset, chosen with a fixed seed and read at ``NativeSize``.

    In place of labels, a batch contains the width and height of each original image, int64 [b, 2]
    for b images. No image stays in memory.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        native_size: NativeSize,
        limit: int | None = None,
        sample_ids: NDArray[np.int64] | None = None,
    ) -> None:
        """Chooses the images and reads none yet.

        Args:
            dataset: dataset to choose from.
            native_size: rule for the size at which each image is read.
            limit: largest number of images, chosen at random with seed 0. None takes all images.
            sample_ids: ascending ids of the images. They replace the random choice.
        """
        self.folder = dataset.folder
        self.native_size = native_size
        chosen = choose_samples(len(dataset), limit, seed=0)
        self.sample_ids = chosen if sample_ids is None else sample_ids
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def opener(self) -> Callable[[], "NativeImages"]:
        """Function that opens the whole dataset in another process, with the same settings."""
        return partial(_open, self.folder.absolute(), self.native_size)

    def only(self, positions: NDArray[np.int64]) -> "NativeImages":
        """Returns the images at some positions, which are in ascending order."""
        ids = self.sample_ids[positions]
        return NativeImages(self._dataset, self.native_size, sample_ids=ids)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yields images [b, 3, h, w] and the sizes of the original images.

        A few threads decode the next batches in advance.
        """
        return in_threads(self.pieces(batch_size), min(_MAX_DECODING_THREADS, num_cpus()))

    def pieces(self, batch_size: int) -> Iterator[Callable[[], Batch]]:
        """Yields one function per batch that prepares the batch.

        Call each function once, in any thread.

        Args:
            batch_size: largest number of images in a batch. Batches of large images are smaller.
        """
        for start in range(0, len(self), batch_size):
            encoded = self._dataset.read(self.sample_ids[start : start + batch_size])
            for read_at, run in groupby(self._sized(encoded), lambda each: each.read_at):
                same, at_once = list(run), self._at_once(read_at, batch_size)
                for first in range(0, len(same), at_once):
                    yield partial(self._prepare, same[first : first + at_once])

    def _sized(self, encoded: EncodedBatch) -> Iterator[_Encoded]:
        for sample_id, data in zip(encoded.sample_ids.tolist(), encoded.images, strict=True):
            try:
                size = upright_size(data)
            except BadImageError as error:
                raise self._undecodable(sample_id, error) from None
            yield _Encoded(sample_id, data, size, self.native_size.of(size))

    def _at_once(self, size: Size, batch_size: int) -> int:
        """Computes the largest number of images in a batch.

        The memory for attention grows with the square of the number of patches.
        """
        return max(
            1, int(batch_size * min(1.0, (_SMALL / self.native_size.num_patches(size)) ** 2))
        )

    def _prepare(self, encoded: list[_Encoded]) -> Batch:
        width, height = encoded[0].read_at
        out = np.empty((len(encoded), height, width, 3), dtype=np.uint8)
        for index, each in enumerate(encoded):
            try:
                image = decode_rgb(each.data, self._dataset.manifest.ranges)
            except BadImageError as error:
                raise self._undecodable(each.sample_id, error) from None
            out[index] = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
        sizes = torch.tensor([each.size for each in encoded])
        return torch.from_numpy(out).permute(0, 3, 1, 2), sizes

    def _undecodable(self, sample_id: int, error: BadImageError) -> PoiseError:
        return PoiseError(
            f"{self.folder}: sample {sample_id} cannot be decoded: {error}; "
            "run `poise data prepare` again"
        )


def _open(folder: Location, native_size: NativeSize) -> NativeImages:
    return NativeImages(ImageDataset.for_one_pass(folder), native_size)
