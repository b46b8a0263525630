"""Prepares images of a dataset as in the published evaluations.

In: a prepared dataset. Out: batches of uint8 images of one size, with labels. Next:
``poise.evaluation.reading.dataset_pass``.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from poise.config.errors import PoiseError
from poise.data.dataset import EncodedBatch, ImageDataset
from poise.data.manifest import Manifest
from poise.data.views.decode import BadImageError, decode_rgb
from poise.evaluation.reading.image_sets import Batch

CACHE_BYTES = 2**30
"""Largest size in bytes of prepared image sets that stay in memory."""

ResultT = TypeVar("ResultT")

_SHORTER_SIDE = 256 / 224  # as published: resize to 256, crop to 224
_MAX_DECODING_THREADS = 8
_MOST_RESIZED_PIXELS = 2**24  # 64 MB in Pillow, at 224 px only for sides of ratio 256 : 1
_BICUBIC_REACH = 3  # source pixels on each side of an output pixel, with one pixel of margin


class EvaluationImages:
    """Images of a dataset, chosen with a fixed seed and prepared as in the evaluation of DINO.

    A probe during training reads the same images at every evaluation. So small sets are decoded
    once and kept in memory.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        image_px: int,
        limit: int | None = None,
        seed: int = 0,
        cache_bytes: int = CACHE_BYTES,
        sample_ids: NDArray[np.int64] | None = None,
    ) -> None:
        """Chooses the images and reads none yet.

        Args:
            dataset: dataset to choose from.
            image_px: side of the prepared images in pixels.
            limit: largest number of images. None takes all images.
            seed: seed of the random choice.
            cache_bytes: largest size of a prepared set that stays in memory.
            sample_ids: ascending ids of the images. They replace the random choice.
        """
        self.image_px = image_px
        self.folder = dataset.folder
        chosen = choose_samples(len(dataset), limit, seed)
        self.sample_ids = chosen if sample_ids is None else sample_ids
        self._dataset = dataset
        self._keeps = len(self) * 3 * image_px**2 <= cache_bytes
        self._kept: list[Batch] = []

    @staticmethod
    def for_one_pass(
        dataset: ImageDataset, image_px: int, limit: int | None = None
    ) -> "EvaluationImages":
        """Chooses images that are read only once or twice. So none of them stays in memory."""
        return EvaluationImages(dataset, image_px, limit, cache_bytes=0)

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def manifest(self) -> Manifest:
        """Manifest of the dataset."""
        return self._dataset.manifest

    @property
    def opener(self) -> Callable[[], "EvaluationImages"]:
        """Function that opens the whole dataset in another process, with the same settings."""
        return partial(copy, self._taking(np.arange(len(self._dataset), dtype=np.int64)))

    def only(self, positions: NDArray[np.int64]) -> "EvaluationImages":
        """Returns the images at some positions, which are in ascending order.

        They are not cached.
        """
        return self._taking(self.sample_ids[positions])

    def _taking(self, sample_ids: NDArray[np.int64]) -> "EvaluationImages":
        """Returns a copy of this image set with other images.

        A subclass prepares them in its own way.
        """
        other = copy(self)
        other.sample_ids = sample_ids
        other._keeps, other._kept = False, []
        return other

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yields images [b, 3, px, px] and labels int64 [b], by sample id. −1 is an unknown label.

        A few threads decode the next batches in advance. If the set is kept in memory, its first
        pass decides the batch size of later passes.
        """
        return in_threads(self.pieces(batch_size), min(_MAX_DECODING_THREADS, num_cpus()))

    def pieces(self, batch_size: int) -> Iterator[Callable[[], Batch]]:
        """Yields one function per batch that prepares the batch.

        Call each function once, in any thread.
        """
        if self._kept:
            yield from (partial(self._kept.__getitem__, index) for index in range(len(self._kept)))
            return
        starts = range(0, len(self), batch_size)
        kept: dict[int, Batch] = {}

        def prepare(start: int, encoded: EncodedBatch) -> Batch:
            batch = self._prepare(encoded)
            if self._keeps:
                kept[start] = batch
                if len(kept) == len(starts):
                    self._kept = [kept[start] for start in starts]
            return batch

        for start in starts:
            encoded = self._dataset.read(self.sample_ids[start : start + batch_size])
            yield partial(prepare, start, encoded)

    def _prepare(self, encoded: EncodedBatch) -> Batch:
        out = np.empty((len(encoded), self.image_px, self.image_px, 3), dtype=np.uint8)
        for index, data in enumerate(encoded.images):
            try:
                image = decode_rgb(data, encoded.ranges)
                out[index] = np.asarray(self._view(image, int(encoded.sample_ids[index])))
            except BadImageError as error:
                raise PoiseError(
                    f"{self.folder}: sample {encoded.sample_ids[index]} cannot be decoded: "
                    f"{error}; run `poise data prepare` again"
                ) from None
        return torch.from_numpy(out).permute(0, 3, 1, 2), torch.from_numpy(encoded.labels)

    def _view(self, image: Image.Image, sample_id: int) -> Image.Image:
        """Returns the picture of image_px × image_px that the backbone gets."""
        return resize_and_crop(image, self.image_px)


def num_cpus() -> int:
    """Counts the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(
    pieces: Iterable[Callable[[], ResultT]],
    num_threads: int,
    initializer: Callable[[], None] | None = None,
) -> Iterator[ResultT]:
    """Yields the results of functions in order. Threads compute a few results in advance.

    The calling thread takes the functions from their iterator, one at a time.
    """
    waiting: deque[Future[ResultT]] = deque()
    with ThreadPoolExecutor(num_threads, initializer=initializer) as pool:
        try:
            for piece in pieces:
                waiting.append(pool.submit(piece))
                if len(waiting) > 2 * num_threads:
                    yield waiting.popleft().result()
            while waiting:
                result = waiting.popleft().result()
                yield result
        finally:
            for future in waiting:
                future.cancel()


def choose_samples(num_samples: int, limit: int | None, seed: int) -> NDArray[np.int64]:
    """Draws at most ``limit`` of the ids 0 … num_samples − 1, without repeats, and sorts them."""
    if limit is None or limit >= num_samples:
        return np.arange(num_samples, dtype=np.int64)
    drawn = np.random.default_rng(seed).choice(num_samples, limit, replace=False, shuffle=False)
    return np.sort(drawn).astype(np.int64)


def resize_and_crop(image: Image.Image, image_px: int) -> Image.Image:
    """Prepares an image as in the published evaluation of DINO.

    The shorter side is resized to px·256/224 with bicubic interpolation. Then the centre of px × px
    is cut out. If the resized image would have more than ``_MOST_RESIZED_PIXELS``, it is cropped
    before it is resized. This changes a pixel by at most one level, or by two if Pillow resizes the
    axes in another order. All other images are resized exactly as published.
    """
    (width, height), (left, top) = _resized(image.size, image_px)
    if width * height <= _MOST_RESIZED_PIXELS:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    elif width > height:
        image, left = _middle_column(image, (width, height), (left, image_px)), 0
    else:
        turned = image.transpose(Image.Transpose.TRANSPOSE)
        turned = _middle_column(turned, (height, width), (top, image_px))
        image, top = turned.transpose(Image.Transpose.TRANSPOSE), 0
    return image.crop((left, top, left + image_px, top + image_px))


def crop_mask(mask: NDArray[np.uint8], image_px: int) -> NDArray[np.uint8]:
    """Cuts the part of a mask [h, w] that ``resize_and_crop`` keeps of its image.

    Each pixel takes the nearest value, so the result has only values of the mask.

    Returns:
        Mask uint8 [px, px].
    """
    height, width = mask.shape
    resized, (left, top) = _resized((width, height), image_px)
    across, down = width / resized[0], height / resized[1]
    box = (left * across, top * down, (left + image_px) * across, (top + image_px) * down)
    cut = Image.fromarray(mask).resize((image_px, image_px), Image.Resampling.NEAREST, box=box)
    return np.asarray(cut)


def _resized(size: tuple[int, int], image_px: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Computes the size of a resized image, and the left and top edges of its central square."""
    shorter = round(image_px * _SHORTER_SIDE)
    # As in torchvision: the size is truncated, and the crop below rounds halves to even.
    width, height = (
        shorter if side == min(size) else int(shorter * side / min(size)) for side in size
    )
    return (width, height), (round((width - image_px) / 2), round((height - image_px) / 2))


def _middle_column(
    image: Image.Image, size: tuple[int, int], column: tuple[int, int]
) -> Image.Image:
    """Resizes an image and returns one column of the result, without computing the rest.

    Args:
        image: image that is wider than high.
        size: width and height of the whole resized image.
        column: left edge and width of the column in the resized image.
    """
    ratio, (left, width) = image.width / size[0], column
    start, stop = left * ratio, (left + width) * ratio
    reach = _BICUBIC_REACH * max(1.0, ratio)
    first, last = max(0, int(start - reach)), min(image.width, int(stop + reach) + 1)
    box = (start - first, 0, stop - first, image.height)
    part = image.crop((first, 0, last, image.height))
    return part.resize((width, size[1]), Image.Resampling.BICUBIC, box=box)
