"""Draws images with their true and predicted classes into one picture.

In: a few images of the test set, with their true and predicted classes. Out: a PNG file. Next:
``poise.evaluation.segmentation.report`` adds its name to the report.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from poise.data.dataset import ImageDataset
from poise.data.views.decode import decode_rgb
from poise.evaluation.mask_colors import grid, paint, thumbnail_size
from poise.evaluation.reading.images import resize_and_crop
from poise.evaluation.segmentation.classes import ClassMap

_LEAST_PX, _MOST_PX = 128, 224

_CAPTIONS = {"model": "predicted by patch tokens", "pixels": "predicted by the pixels of patches"}

Drawn = tuple[int, ClassMap, dict[str, NDArray[np.int64]]]
"""Sample id, true classes [px, px], and predicted classes [px, px] by the kind of features."""


def draw_segmentation(
    path: Path, dataset: ImageDataset, image_px: int, drawn: Sequence[Drawn]
) -> None:
    """Draws one column per image: the image, its true classes, and each classifier's prediction.

    Args:
        path: path of the PNG file.
        dataset: dataset of the images.
        image_px: side of the prepared images in pixels.
        drawn: images with their classes, at least one.
    """
    encoded = dataset.read(np.array([sample_id for sample_id, _, _ in drawn]))
    images = [
        resize_and_crop(decode_rgb(data, encoded.ranges), image_px) for data in encoded.images
    ]
    rows = [("image", images)]
    truths = [classes for _, classes, _ in drawn]
    rows.append(("truth", [paint(*pair) for pair in zip(images, truths, strict=True)]))
    for kind, caption in _CAPTIONS.items():
        found = [predicted[kind].astype(np.uint8) for _, _, predicted in drawn]
        rows.append((caption, [paint(*pair) for pair in zip(images, found, strict=True)]))
    size = thumbnail_size((image_px, image_px), _LEAST_PX, _MOST_PX)
    grid([(caption, [_sized(each, size) for each in row]) for caption, row in rows]).save(path)


def _sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    enlarged = size[0] > image.width
    filter_ = Image.Resampling.NEAREST if enlarged else Image.Resampling.BICUBIC
    return image.resize(size, filter_)
