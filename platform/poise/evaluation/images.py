"""The images that a probe sees, prepared as published.

In: a prepared dataset. Out: batches of uint8 images of one size, with labels. Next:
``poise.evaluation.features``.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from poise.data.dataset import ImageDataset
from poise.data.decode import decode_rgb

CACHE_BYTES = 2**30
"""Sets that are smaller than this when prepared stay in memory."""

_SHORTER_SIDE = 256 / 224  # of the published evaluation: resize to 256, crop 224


class EvaluationImages:
    """A deterministic choice of a dataset's images, each as the published evaluation sees it.

    Small sets are decoded once and kept: a probe that watches training sees the same images at
    every epoch. Decoding runs in a few threads; Pillow releases the interpreter while it decodes.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        image_px: int,
        limit: int | None = None,
        seed: int = 0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Chooses the images; reads none yet.

        Args:
            dataset: where they are.
            image_px: side of the prepared images.
            limit: most images to take; none takes all.
            seed: of the choice.
            cache_bytes: prepared sets up to this size are kept.
        """
        self.image_px = image_px
        self.folder = dataset.folder
        self.sample_ids = choose_samples(len(dataset), limit, seed)
        self._dataset = dataset
        self._keeps = len(self) * 3 * image_px**2 <= cache_bytes
        self._kept: list[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self.sample_ids)

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields images uint8 [b, 3, px, px] and labels int64 [b] (-1 unknown), by sample id.

        The first pass decides the batch size of a set that is kept.
        """
        if self._kept:
            yield from self._kept
            return
        kept = []
        for batch in self._prepare(batch_size):
            if self._keeps:
                kept.append(batch)
            yield batch
        self._kept = kept

    def _prepare(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for start in range(0, len(self), batch_size):
                encoded = self._dataset.read(self.sample_ids[start : start + batch_size])
                images = np.stack(list(pool.map(self._prepare_one, encoded.images)))
                channels_first = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
                yield channels_first, torch.from_numpy(encoded.labels)

    def _prepare_one(self, data: bytes) -> NDArray[np.uint8]:
        return np.asarray(resize_and_crop(decode_rgb(data), self.image_px))


def choose_samples(num_samples: int, limit: int | None, seed: int) -> NDArray[np.int64]:
    """At most ``limit`` of the ids 0 … num_samples − 1, drawn without repeats, ascending."""
    if limit is None or limit >= num_samples:
        return np.arange(num_samples, dtype=np.int64)
    drawn = np.random.default_rng(seed).choice(num_samples, limit, replace=False, shuffle=False)
    return np.sort(drawn).astype(np.int64)


def resize_and_crop(image: Image.Image, image_px: int) -> Image.Image:
    """The published evaluation's view: shorter side to px·256/224, bicubic; centre px squared."""
    shorter = round(image_px * _SHORTER_SIDE)
    scale = shorter / min(image.size)
    # Truncated, not rounded, and halves to even below: as torchvision does.
    width, height = (
        shorter if side == min(image.size) else int(shorter * side / min(image.size))
        for side in image.size
    )
    if scale != 1:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - image_px) / 2), round((height - image_px) / 2)
    return image.crop((left, top, left + image_px, top + image_px))
