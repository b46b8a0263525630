"""Blurs images as Pillow does, each with its own radius, by products with banded matrices.

In: float images, and a radius for each image. Out: blurred images. Next:
``poise.data.views.color_augmentation`` solarizes and normalises them.

Pillow approximates a Gaussian by three box filters of fractional width (Gwosdek et al. 2011,
"Theoretical foundations of Gaussian convolution by extended box filtering"). The variances of the
three filters add up to the radius squared. Outside the image, each filter repeats the pixels at the
edge. A box filter on a line of pixels is a banded matrix, so three filters are the third power of
this matrix. Each image needs one matrix and one product per axis.
"""

import math

import torch
from torch import Tensor

PASSES = 3


def box_reach(radius: float) -> int:
    """Returns the number of pixels on each side that a box filter of this blur radius covers."""
    return math.floor((math.sqrt(12 * radius**2 / PASSES + 1) - 1) / 2) + 1


def blur(images: Tensor, radii: Tensor, reach: int) -> Tensor:
    """Blurs each image with its own radius.

    Args:
        images: float ``[N, C, H, W]``.
        radii: standard deviations in pixels, ``[N]``; 0 does not change an image.
        reach: ``box_reach`` of the largest radius that may occur.

    Returns:
        float ``[N, C, H, W]``.
    """
    boxes = _boxes(radii, reach)
    across = _matrices(boxes, images.shape[-1])  # [N, W, W]
    down = across if images.shape[-2] == images.shape[-1] else _matrices(boxes, images.shape[-2])
    return down[:, None] @ (images @ across.mT[:, None])


def _boxes(radii: Tensor, reach: int) -> Tensor:
    """Computes the weights [N, 2·reach + 1] of each radius's box filter.

    The two outer weights are smaller than the others, because the width is fractional.
    """
    variance = radii**2 / PASSES
    whole = (((12 * variance + 1).sqrt() - 1) / 2).floor()
    fraction = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    fraction = fraction / (6 * (variance - (whole + 1) ** 2))
    half_width = (whole + fraction)[:, None]
    distance = torch.arange(-reach, reach + 1, device=radii.device).abs()
    return (half_width + 1 - distance).clamp(0, 1) / (2 * half_width + 1)


def _matrices(boxes: Tensor, size: int) -> Tensor:
    """Makes a matrix for each image [N, size, size] that blurs a line of pixels."""
    reach = boxes.shape[1] // 2
    positions = torch.arange(size, device=boxes.device)
    taps = torch.arange(-reach, reach + 1, device=boxes.device)
    source = (positions[:, None] + taps).clamp(0, size - 1).expand(len(boxes), -1, -1)
    once = boxes.new_zeros(len(boxes), size, size)
    once.scatter_add_(2, source, boxes[:, None].expand_as(source))
    return once @ once @ once
