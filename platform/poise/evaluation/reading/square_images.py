"""Resizes whole images to a square, for copy detection.

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
"""Function that changes an RGB image before resizing. It also gets the sample id. It can be
pickled.
"""


class SquareImages(EvaluationImages):
    """Images of a dataset, resized to squares. Nothing is cut off, so their proportions change."""

    def __init__(
        self,
        dataset: ImageDataset,
        image_px: int,
        sample_ids: NDArray[np.int64],
        change: Change | None = None,
    ) -> None:
        """Chooses the images and reads none yet.

        Args:
            dataset: dataset to read.
            image_px: side of the square in pixels.
            sample_ids: ids of the images, ascending.
            change: function that is applied to each image at its full size. None changes nothing.
        """
        super().__init__(dataset, image_px, cache_bytes=0, sample_ids=sample_ids)
        self._change = change

    def _view(self, image: Image.Image, sample_id: int) -> Image.Image:
        changed = image if self._change is None else self._change(image, sample_id)
        return changed.resize((self.image_px, self.image_px), Image.Resampling.BICUBIC)
