"""Computes how much of each patch is background, from the masks of a dataset.

In: a dataset with masks, and sample ids. Out: shares of background. Next:
``poise.evaluation.outliers.outlier_positions``.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.data.annotations import IGNORED, AnnotationReader, annotation_kinds
from poise.data.dataset import ImageDataset
from poise.evaluation.reading.images import crop_mask

_BACKGROUND = 0


def background_of(
    dataset: ImageDataset, sample_ids: NDArray[np.int64], image_px: int, patch_px: int
) -> Tensor | None:
    """Computes the share of each patch's pixels that the masks mark as background.

    Args:
        dataset: dataset to read.
        sample_ids: ids of n images, ascending.
        image_px: side of the prepared images in pixels.
        patch_px: side of a patch in pixels.

    Returns:
        Shares float32 [n, N], 0 to 1. A patch has NaN if all its pixels are ignored. None if the
        dataset has no masks.
    """
    if "mask" not in annotation_kinds(dataset):
        return None
    reader = AnnotationReader(dataset, "mask")
    shares = [
        torch.from_numpy(_shares(crop_mask(mask, image_px), patch_px))
        for annotations in reader.by_group(sample_ids)
        for mask in annotations.masks
    ]
    return torch.stack(shares)


def _shares(mask: NDArray[np.uint8], patch_px: int) -> NDArray[np.float32]:
    """Computes the share of background among the pixels of each patch, [N].

    Ignored pixels do not count.
    """
    side = len(mask) // patch_px
    cut = mask[: side * patch_px, : side * patch_px]
    patches = cut.reshape(side, patch_px, side, patch_px).swapaxes(1, 2).reshape(side**2, -1)
    counted = (patches != IGNORED).sum(axis=1)
    background = (patches == _BACKGROUND).sum(axis=1)
    shares = np.full(side**2, np.nan, dtype=np.float32)
    np.divide(background, counted, out=shares, where=counted > 0)
    return shares
