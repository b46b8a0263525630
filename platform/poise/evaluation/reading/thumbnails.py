"""Makes small pictures of a dataset's images, for people to look at.

In: sample ids. Out: small RGB images. Next: the modules that draw pictures and pages.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageOps

from poise.data.dataset import ImageDataset
from poise.data.views.decode import decode_rgb
from poise.evaluation.reading.square_images import Change

_AT_ONCE = 64  # encoded images in memory at once


def thumbnails(
    dataset: ImageDataset, sample_ids: ArrayLike, side_px: int, change: Change | None = None
) -> Iterator[Image.Image]:
    """Yields a square thumbnail of each image.

    If an image is not square, the thumbnail is its centre.

    Args:
        dataset: dataset to read.
        sample_ids: ids in any order. An id may occur twice.
        side_px: side of a thumbnail in pixels.
        change: function that is applied to each image at its full size. None changes nothing.

    Raises:
        PoiseError: a shard cannot be read.
    """
    ids = np.asarray(sample_ids, dtype=np.int64)
    for start in range(0, len(ids), _AT_ONCE):
        encoded = dataset.read(ids[start : start + _AT_ONCE])
        for data, sample_id in zip(encoded.images, encoded.sample_ids.tolist(), strict=True):
            image = decode_rgb(data, encoded.ranges)
            if change is not None:
                image = change(image, sample_id)
            yield ImageOps.fit(image, (side_px, side_px), Image.Resampling.BICUBIC)
