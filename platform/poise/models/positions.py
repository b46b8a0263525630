"""Resizes position embeddings for other image sizes."""

import torch.nn.functional as F
from torch import Tensor

_PUBLISHED_OFFSET = 0.1  # patches, added to the target size against rounding (DINO's code)


def resample_as_dino(positions: Tensor, grid: tuple[int, int], native: tuple[int, int]) -> Tensor:
    """Resizes patch positions as DINO's published code does.

    The interpolation is bicubic, without antialiasing, with a step of ``native / (grid + 0.1)``.
    The result differs slightly from a plain resize. It is necessary to reproduce the published
    features of local views.

    Args:
        positions: [1, h·w, D], row-major over the native grid.
        grid: rows and columns of patches of the result.
        native: rows and columns of patches in ``positions``.

    Returns:
        [1, grid[0]·grid[1], D]; the input itself if the sizes are equal.
    """
    if grid == native:
        return positions
    scale = [(new + _PUBLISHED_OFFSET) / old for new, old in zip(grid, native, strict=True)]
    image = positions.float().unflatten(1, native).permute(0, 3, 1, 2)  # [1, D, h, w]
    resized = F.interpolate(image, scale_factor=scale, mode="bicubic", recompute_scale_factor=False)
    return resized.flatten(2).transpose(1, 2).to(positions.dtype)
