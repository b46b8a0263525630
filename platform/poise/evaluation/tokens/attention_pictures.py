"""Draws attention: statistics over blocks, every head, and maps over images.

In: ``AttentionReport``s, or a backbone and chosen images. Out: PNG files. Next: ``poise.tracking``
stores the files as artifacts of MLflow.

The pictures can be read without colours: lines differ in markers and dashes, maps in lightness.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor, nn

from poise.evaluation.reading.inference import Normalization, evaluation_mode, normalized
from poise.evaluation.tokens.attention import AttentionReport
from poise.models.backbone import has_class_token
from poise.models.block_traces import num_blocks, trace

MAX_BLOCKS = 12
"""Largest number of blocks in a picture of maps. Pictures of deeper models show evenly spaced
blocks.
"""

_LINES = (
    ("#0072b2", "o", "-"),
    ("#d55e00", "s", "--"),
    ("#009e73", "^", "-."),
    ("#cc79a7", "D", ":"),
    ("#56b4e9", "v", (0, (5, 1))),
    ("#e69f00", "P", (0, (3, 1, 1, 1))),
    ("#000000", "X", (0, (1, 1))),
)  # colours of Okabe and Ito, which most colour-blind people can distinguish

_CLS_PANELS = (
    ("cls_cls_attention", "[cls] → itself"),
    ("cls_pos_mass", "[cls] → all patches"),
    ("cls_pos_attention", "[cls] → a patch, mean"),
    ("cls_register_mass", "[cls] → registers"),
    ("cls_cls_attention_adj_for_cls", "[cls] → itself / patches"),
    ("cls_pos_entropy_over_ln_n", "[cls] entropy / ln N"),
    ("cls_magnitude", "[cls] ‖added‖ / ‖input‖"),
)
_PATCH_PANELS = (
    ("pos_cls_attention", "patch → [cls]"),
    ("pos_pos_mass", "patch → all patches"),
    ("pos_self_attention", "patch → itself"),
    ("pos_register_mass", "patch → registers"),
    ("pos_self_attention_adj_for_cls", "patch → itself / patches"),
    ("pos_pos_entropy_over_ln_n", "patch entropy / ln N"),
    ("pos_magnitude", "patch ‖added‖ / ‖input‖"),
)
_HEAD_PANELS = (
    ("cls_cls_attention", "[cls] → itself"),
    ("cls_pos_entropy_over_ln_n", "[cls] entropy / ln N"),
    ("pos_self_attention", "patch → itself"),
    ("pos_pos_entropy_over_ln_n", "patch entropy / ln N"),
)


def draw_statistics(path: str | Path, reports: Mapping[str, AttentionReport]) -> None:
    """Draws every statistic over blocks.

    Each model has a line, with a band from its lowest to its highest head. The upper row shows
    [cls], the lower row shows patches. Entropies are divided by ln N, so models with different
    numbers of patches can be compared.

    Args:
        path: path of the PNG file.
        reports: reports by the model's name in the legend.
    """
    known = {name for report in reports.values() for name in report.blocks[0]}
    pairs = [
        pair
        for pair in zip(_CLS_PANELS, _PATCH_PANELS, strict=True)
        if any(name in known for name, _ in pair)
    ]
    figure = Figure(
        figsize=(2.3 * len(pairs), 4.5 + 0.25 * -(-len(reports) // 3)), layout="constrained"
    )
    axes = figure.subplots(2, len(pairs), squeeze=False)
    for column, pair in enumerate(pairs):
        for axis, (name, title) in zip(axes[:, column], pair, strict=True):
            if name in known:
                _draw_statistic(axis, name, title, reports)
            else:
                axis.set_axis_off()
    handles, labels = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, handlelength=4)
    figure.savefig(path, dpi=150)


def draw_heads(path: str | Path, report: AttentionReport) -> None:
    """Draws a map of blocks × heads for each statistic in which heads differ.

    Args:
        path: path of the PNG file.
        report: report on one model.
    """
    panels = [(name, title) for name, title in _HEAD_PANELS if name in report.blocks[0]]
    width = 1.2 + max(1.3, 0.22 * report.num_heads)
    height = 1.1 + max(1.4, 0.22 * len(report.blocks))
    figure = Figure(figsize=(width * len(panels), height), layout="constrained")
    for axis, (name, title) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        values = [block[name].head_means for block in report.blocks]
        _draw_head_map(figure, axis, values, near_one=name.endswith("_over_ln_n"))
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("head", fontsize=8)
    figure.axes[0].set_ylabel("block", fontsize=8)
    figure.savefig(path, dpi=150)


@torch.no_grad()
def draw_blocks(
    path: str | Path,
    backbone: nn.Module,
    images: Tensor,
    normalization: Normalization,
    device: torch.device,
    titles: Sequence[str] = (),
) -> None:
    """Draws the attention of [cls] in each block, as the mean over heads, with one image per row.

    Without [cls] the picture shows the mean attention of the patches. A map covers only the
    patches. Its colours range from 0 to its maximum. The number above a map is the share of
    attention to patches.

    Args:
        path: path of the PNG file.
        backbone: transformer on ``device``.
        images: uint8 [n, 3, H, W]. A readable picture has 4 to 8 images.
        normalization: channel means and standard deviations.
        device: device that computes.
        titles: one title per image.

    Raises:
        PoiseError: the backbone has no attention.
    """
    columns = list(_block_maps(backbone, images, normalization, device))
    size = (1.1 * (1 + len(columns)), 1.4 * len(images))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(images), 1 + len(columns), squeeze=False)
    for row, image in enumerate(images):
        axes[row, 0].imshow(image.permute(1, 2, 0).numpy())
        axes[row, 0].set_title(titles[row] if titles else "image", fontsize=7)
        for axis, (number, maps, masses) in zip(axes[row, 1:], columns, strict=True):
            axis.imshow(maps[row].numpy(), vmin=0)
            axis.set_title(f"block {number}\npatch {masses[row]:.0%}", fontsize=7)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(path, dpi=150)


def label_blocks(axis: Axes, title: str, num_blocks: int) -> None:
    """Sets the title of a plot over blocks, and numbers the blocks from 1."""
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("block", fontsize=8)
    axis.set_xlim(0.6, num_blocks + 0.4)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)


def _draw_statistic(
    axis: Axes, name: str, title: str, reports: Mapping[str, AttentionReport]
) -> None:
    drawn: list[float] = []
    for index, (model, report) in enumerate(reports.items()):
        color, marker, dashes = _LINES[index % len(_LINES)]
        # A model without this statistic gets an empty line, because the legend is taken from one
        # panel.
        found = {n: block[name] for n, block in enumerate(report.blocks, start=1) if name in block}
        means = [each.mean for each in found.values()]
        line = axis.plot(list(found), means, color=color, marker=marker, linestyle=dashes)
        line[0].set(markersize=4, linewidth=1.4, label=model)
        bands = [each.head_means or (each.mean,) for each in found.values()]
        low, high = [min(band) for band in bands], [max(band) for band in bands]
        axis.fill_between(list(found), low, high, color=color, alpha=0.15, linewidth=0)
        drawn += [*low, *high]
    if name.endswith("_adj_for_cls") and max(drawn) > 10:
        axis.set_yscale("log")
    elif min(drawn) < max(drawn) / 2:
        axis.set_ylim(bottom=0)
    if name.endswith("_over_ln_n"):
        axis.axhline(1, color="0.4", linewidth=0.8, linestyle=":")
    label_blocks(axis, title, max(len(report.blocks) for report in reports.values()))


def _draw_head_map(
    figure: Figure, axis: Axes, values: Sequence[Sequence[float]], near_one: bool
) -> None:
    num_blocks, num_heads = len(values), len(values[0])
    drawn = axis.imshow(
        values,
        cmap="cividis",
        aspect="auto",
        origin="upper",
        interpolation="nearest",
        extent=(0.5, num_heads + 0.5, num_blocks + 0.5, 0.5),
        vmin=None if near_one else 0,
        vmax=1 if near_one else None,
    )
    for locator in (axis.xaxis, axis.yaxis):
        locator.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))
    axis.tick_params(labelsize=7)
    figure.colorbar(drawn, ax=axis, fraction=0.08).ax.tick_params(labelsize=7)


def _block_maps(
    backbone: nn.Module, images: Tensor, normalization: Normalization, device: torch.device
) -> Iterator[tuple[int, Tensor, list[float]]]:
    """Yields for each drawn block its number, maps [n, rows, columns] and shares on patches.

    Numbers start at 1. A share is the part of the attention that goes to patches.
    """
    prefix, depth = int(getattr(backbone, "num_prefix_tokens", 0)), num_blocks(backbone)
    shown = {round(index) for index in np.linspace(depth - 1, 0, min(depth, MAX_BLOCKS))}
    with evaluation_mode(backbone):
        for block in trace(backbone, normalized(images.to(device), normalization)):
            if block.index not in shown:
                continue
            attention = block.attention.mean(dim=1)
            row = attention[:, 0] if has_class_token(backbone) else attention.mean(dim=1)
            to_patches = row[:, prefix:].cpu()
            rows = round((to_patches.shape[1] * images.shape[2] / images.shape[3]) ** 0.5)
            yield block.index + 1, to_patches.unflatten(1, (rows, -1)), to_patches.sum(1).tolist()
