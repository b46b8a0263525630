"""Pads images to whole patches, and enlarges maps over patches to the size of their image.

In: normalised images, or one value per patch. Out: images of whole patches, or maps of pixels.
Next: a backbone reads the images, and pictures show the maps.
"""

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_FADED = 5  # the contrast is divided by this number


def pad_to_patches(images: Tensor, patch_px: int) -> Tensor:
    """Adds zeros to the right and the bottom of images [B, 3, h, w], like LOST.

    The images are already normalised, so the padding has the colour of the channel means.
    """
    height, width = images.shape[2:]
    return F.pad(images, (0, -width % patch_px, 0, -height % patch_px))


def faded(pixels: NDArray[np.uint8], mask: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Fades an image [h, w, 3] to white outside a mask [h, w]. Dark images stay recognisable."""
    pale = (pixels // _FADED + (255 - 255 // _FADED)).astype(np.uint8)
    return np.where(mask[..., None], pixels, pale)


def enlarged(
    patches: NDArray[np.generic], patch_px: int, size: tuple[int, int]
) -> NDArray[np.generic]:
    """Enlarges one value per patch [N] to the pixels of an image, without smoothing.

    The part that covers padding is cut off.

    Args:
        patches: value of each patch in row-major order, [N].
        patch_px: side of a patch in pixels.
        size: width and height of the image in pixels.
    """
    width, height = size
    grid = patches.reshape(-1, -(-width // patch_px))
    return grid.repeat(patch_px, axis=0).repeat(patch_px, axis=1)[:height, :width]
