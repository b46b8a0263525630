"""Whole images, resized to a square, as copy detection reads them.

In: a prepared dataset. Out: batches of uint8 images of one size. Next:
``poise.evaluation.neighbours.copy_detection``.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from poise.data.dataset import ImageDataset
from poise.evaluation.reading.images import EvaluationImages

Change = Callable[[Image.Image, int], Image.Image]
"""Picklable function that changes an RGB image before it is resized; it gets the sample's id."""


class SquareImages(EvaluationImages):
    """Some of a dataset's images. Nothing is cut off, so their proportions change."""

    def __init__(
        self,
        dataset: ImageDataset,
        image_px: int,
        sample_ids: NDArray[np.int64],
        change: Change | None = None,
    ) -> None:
        """Chooses the images without reading any.

        Args:
            dataset: dataset to read.
            image_px: side of the square.
            sample_ids: ids of the images, ascending.
            change: applied to each image at its full size; None leaves images as they are.
        """
        super().__init__(dataset, image_px, cache_bytes=0, sample_ids=sample_ids)
        self._change = change

    def _view(self, image: Image.Image, sample_id: int) -> Image.Image:
        changed = image if self._change is None else self._change(image, sample_id)
        return changed.resize((self.image_px, self.image_px), Image.Resampling.BICUBIC)
