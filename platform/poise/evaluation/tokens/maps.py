"""Draws attention over images.

In: a backbone and some images. Out: PNG files. Next: ``poise.tracking`` stores the files as
artifacts of MLflow.

Pictures are made without pyplot. So there is no global state, no display is needed, and any thread
may draw.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import interpolate

from poise.evaluation.reading.inference import Normalization, evaluation_mode, normalized
from poise.models.backbone import has_class_token
from poise.models.block_traces import trace


def draw_attention(
    path: str | Path,
    backbone: nn.Module,
    images: Tensor,
    normalization: Normalization,
    device: torch.device,
) -> None:
    """Draws the attention in the last block, with one image per row.

    The first column is the image. The next columns show the attention of [cls] over the patches,
    for each head and for the mean over heads. Above each head are its shares of attention to
    patches, to [cls] itself and to registers. Without [cls], one column shows the mean attention of
    the patches. The last columns show the attention of each register, as the mean over heads. The
    colours of each map range from 0 to its maximum.

    Args:
        path: path of the PNG file.
        backbone: transformer of ``poise.models.backbone``.
        images: uint8 [n, 3, H, W]. A readable picture has 4 to 8 images.
        normalization: channel means and standard deviations.
        device: device of the backbone.

    Raises:
        PoiseError: the backbone has no attention to show.
    """
    attention = _attention(backbone, images, normalization, device)
    num_prefix = int(getattr(backbone, "num_prefix_tokens", 0))
    num_registers = num_prefix - has_class_token(backbone)
    rows = [
        [
            ("image", image.permute(1, 2, 0)),
            *_maps(weights, num_prefix, num_registers, tuple(image.shape[1:])),
        ]
        for image, weights in zip(images, attention, strict=True)
    ]
    figure = Figure(figsize=(1.6 * len(rows[0]), 1.85 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for row, cells in zip(axes, rows, strict=True):
        for axis, (title, picture) in zip(row, cells, strict=True):
            axis.imshow(picture.numpy(), **({} if title == "image" else {"vmin": 0}))
            axis.set_title(title, fontsize=7)
            axis.set_axis_off()
    figure.savefig(path, dpi=110)


def _attention(
    backbone: nn.Module, images: Tensor, normalization: Normalization, device: torch.device
) -> Tensor:
    with evaluation_mode(backbone):
        (block,) = trace(backbone, normalized(images.to(device), normalization), first=-1)
    return block.attention.cpu()  # [n, heads, T, T]


def _maps(
    weights: Tensor, num_prefix: int, num_registers: int, size: tuple[int, ...]
) -> list[tuple[str, Tensor]]:
    """Makes maps [H, W] with titles from the attention [heads, T, T] of one image."""
    first_register = num_prefix - num_registers
    maps = []
    if first_register:  # a [cls] token is before the registers
        maps += _maps_of_heads(weights[:, 0], num_prefix, size)
    else:
        mean = weights[:, num_prefix:].mean(dim=(0, 1))
        maps.append(("mean patch\n(mean of heads)", _as_map(mean[num_prefix:], size)))
    for register in range(num_registers):
        row = weights[:, first_register + register].mean(0)[num_prefix:]
        maps.append((f"register {register + 1}\n(mean of heads)", _as_map(row, size)))
    return maps


def _maps_of_heads(
    from_cls: Tensor, num_prefix: int, size: tuple[int, ...]
) -> list[tuple[str, Tensor]]:
    """Makes maps of the attention of [cls], [heads, T]: one for each head and one for the mean."""
    maps = []
    for head, row in enumerate(from_cls):
        shares = f"patch {row[num_prefix:].sum():.0%} cls {row[0]:.0%}"
        if num_prefix > 1:
            shares += f" reg {row[1:num_prefix].sum():.0%}"
        maps.append((f"head {head + 1}\n{shares}", _as_map(row[num_prefix:], size)))
    maps.append(("mean of heads", _as_map(from_cls.mean(0)[num_prefix:], size)))
    return maps


def _as_map(patches: Tensor, size: tuple[int, ...]) -> Tensor:
    """Enlarges attention per patch [N] to the image's size, without smoothing."""
    height, width = size
    rows = round((len(patches) * height / width) ** 0.5)
    grid = patches.view(1, 1, rows, len(patches) // rows)
    return interpolate(grid, size=(height, width), mode="nearest")[0, 0]
