"""Draws some images with the norms of their patches and the attention of [cls] and registers.

In: an ``EvaluationTask`` and ids of images. Out: a PNG file. Next:
``poise.evaluation.outliers.pictures``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from poise.evaluation.outliers.threshold import Threshold, outlier_mask
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import evaluation_mode, normalized
from poise.evaluation.report import EvaluationTask
from poise.models.backbone import has_class_token
from poise.models.block_traces import UntraceableError, trace

SHOWN_IMAGES = 4


def draw_maps(
    path: Path, task: EvaluationTask, sample_ids: NDArray[np.int64], threshold: Threshold
) -> tuple[str, ...]:
    """Draws four images, which are evenly spaced in the dataset, with a row for each.

    The first column is the image. The second column shows the norms of its patches after the last
    block, with rings around outliers. All images have the same scale of norms. The other columns
    show the attention of [cls] and of each register to the patches in the last block, as the mean
    over heads. The colours of each attention map range from 0 to its maximum.

    Returns:
        Notes with the reason if there is no attention to show.
    """
    count = min(SHOWN_IMAGES, len(sample_ids))
    ids = sample_ids[np.linspace(0, len(sample_ids) - 1, count).round().astype(int)]
    images = EvaluationImages.for_one_pass(task.dataset, task.image_px).only(np.unique(ids))
    pixels, _ = next(images.batches(SHOWN_IMAGES))
    prepared = normalized(pixels.to(task.bench.device), task.bench.normalization)
    with evaluation_mode(task.backbone):
        norms = _norms(task.backbone, prepared)
        attention, notes = _attention(task.backbone, prepared)
    columns = 2 + len(attention)
    figure = Figure(figsize=(1.7 * columns, 1.85 * len(pixels)), layout="constrained")
    axes = figure.subplots(len(pixels), columns, squeeze=False)
    low, high = float(norms.min()), float(norms.max()) * 1.001
    scale = LogNorm(low, high)
    for row, cells in enumerate(axes):
        _show(cells[0], pixels[row].permute(1, 2, 0).numpy(), f"sample {images.sample_ids[row]}")
        drawn = cells[1].imshow(norms[row].numpy(), norm=scale, cmap="cividis")
        _ring(cells[1], outlier_mask(norms[row], threshold))
        _show(cells[1], None, f"norms, largest {norms[row].max():.3g}")
        for axis, (title, maps) in zip(cells[2:], attention.items(), strict=True):
            axis.imshow(maps[row].numpy(), vmin=0, cmap="viridis")
            _show(axis, None, title)
    ticks = np.geomspace(low, high, 3)
    bar = figure.colorbar(drawn, ax=axes[:, 1], location="bottom", fraction=0.02, ticks=ticks)
    bar.ax.set_xticklabels([f"{tick:.3g}" for tick in ticks], fontsize=7)
    bar.minorticks_off()
    figure.savefig(path, dpi=110)
    return notes


@torch.no_grad()
def _norms(backbone: Any, images: Tensor) -> Tensor:
    """Computes the norms of patches after the last block, [n, rows, columns]."""
    for tokens in backbone.each_block(images):
        last = tokens
    patches = last[:, backbone.num_prefix_tokens :].float().norm(dim=-1)
    maps: Tensor = patches.unflatten(1, (images.shape[2] // backbone.patch_px, -1))
    return maps.cpu()


def _attention(backbone: Any, images: Tensor) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Computes attention of [cls] and each register to patches, [n, rows, columns], by title."""
    prefix = backbone.num_prefix_tokens
    try:
        (block,) = trace(backbone, images, first=-1)
    except UntraceableError as error:
        return {}, (f"Maps show no attention: {error}.",)
    rows = block.attention.mean(dim=1)[:, :, prefix:].cpu()  # [n, T, N]
    maps = rows.unflatten(2, (images.shape[2] // backbone.patch_px, -1))
    with_class = int(has_class_token(backbone))
    found = {"[cls] looks at": maps[:, 0]} if with_class else {}
    for number in range(1, prefix - with_class + 1):
        found[f"register {number} looks at"] = maps[:, with_class + number - 1]
    return found, ()


def _ring(axis: Axes, outliers: Tensor) -> None:
    """Draws a ring around each outlier of [rows, columns]."""
    rows, columns = np.nonzero(outliers.numpy())
    axis.scatter(columns, rows, s=14, facecolors="none", edgecolors="#d55e00", linewidths=0.9)


def _show(axis: Axes, picture: NDArray[np.uint8] | None, title: str) -> None:
    if picture is not None:
        axis.imshow(picture)
    axis.set_title(title, fontsize=7)
    axis.set_axis_off()
