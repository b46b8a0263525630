"""Pictures for people: what the backbone attends to, and how runs went.

In: a backbone and some images; histories of metrics. Out: PNG files. Next: ``poise.tracking``
keeps them as artifacts.

Figures are made without pyplot: no global state, no display, safe in any thread.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import interpolate

from poise.evaluation.passes import Normalization, evaluation_mode, normalized
from poise.models.attention import trace
from poise.models.backbone import has_class_token

History = Sequence[tuple[int, Mapping[str, float]]]

CURVES = (
    ("loss/over_ln_k", "loss / ln K"),
    ("teacher/entropy_over_ln_k", "teacher entropy / ln K"),
    ("teacher/kl_over_ln_k", "KL(teacher‖student) / ln K"),
    ("teacher/mutual_information_over_ln_k", "mutual information / ln K"),
    ("loss/over_mean_patch", "loss / predicting the mean patch"),
    ("prediction/std_over_target", "spread of predictions / of patches"),
    ("features/rankme", "RankMe of the features"),
    ("eval/knn_top1", "k-NN top-1, %"),
    ("eval/linear_top1", "linear top-1, %"),
)
"""The metrics that show how a run went, and what they are called on an axis."""


def draw_attention(
    path: str | Path,
    backbone: nn.Module,
    images: Tensor,
    normalization: Normalization,
    device: torch.device,
) -> None:
    """Writes what the last block's [cls] attends to, one image per row; without one, the patches.

    The columns are the image, each head's map over the patches with the share of attention that
    patches, [cls] itself and registers get, and the mean over heads; then what each register
    attends to, mean over heads. Every map has its own scale, from 0 to its maximum.

    Args:
        path: of the PNG.
        backbone: a transformer of ``poise.models.backbone``.
        images: uint8 [n, 3, H, W]; 4 to 8 make a readable picture.
        normalization: channel mean and std.
        device: where the backbone is.

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


def draw_curves(
    path: str | Path, runs: Mapping[str, History], onsets: Mapping[str, int | None] | None = None
) -> None:
    """Writes the curves that decide a verdict, over steps, one line per run.

    Args:
        path: of the PNG.
        runs: history by the run's name; metrics that none of them has are left out.
        onsets: step at which a run's collapse began, drawn as a dotted line.

    Raises:
        ValueError: there is not one of the metrics to draw.
    """
    known = {name for history in runs.values() for _, metrics in history for name in metrics}
    curves = [(metric, title) for metric, title in CURVES if metric in known]
    if not curves:
        raise ValueError(f"no run has any of {', '.join(metric for metric, _ in CURVES)}")
    columns = min(3, len(curves))
    num_rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.9 * num_rows + 0.4), layout="constrained")
    axes = figure.subplots(num_rows, columns, squeeze=False).flatten()
    for axis, (metric, title) in zip(axes, curves, strict=False):
        for index, (run, history) in enumerate(runs.items()):
            _draw_curve(axis, metric, run, history, (onsets or {}).get(run), f"C{index}")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
    for axis in axes[len(curves) :]:
        axis.set_axis_off()
    if len(runs) > 1:
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8
        )
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
    """Titled maps [H, W] of one image's attention [heads, T, T]."""
    first_register = num_prefix - num_registers
    maps = []
    if first_register:  # behind [cls]
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
    """What [cls] attends to, [heads, T], in each head and in their mean."""
    maps = []
    for head, row in enumerate(from_cls):
        shares = f"patch {row[num_prefix:].sum():.0%} cls {row[0]:.0%}"
        if num_prefix > 1:
            shares += f" reg {row[1:num_prefix].sum():.0%}"
        maps.append((f"head {head + 1}\n{shares}", _as_map(row[num_prefix:], size)))
    maps.append(("mean of heads", _as_map(from_cls.mean(0)[num_prefix:], size)))
    return maps


def _as_map(patches: Tensor, size: tuple[int, ...]) -> Tensor:
    """Attention per patch [N] enlarged to the image, blocks visible."""
    height, width = size
    rows = round((len(patches) * height / width) ** 0.5)
    grid = patches.view(1, 1, rows, len(patches) // rows)
    return interpolate(grid, size=(height, width), mode="nearest")[0, 0]


def _draw_curve(
    axis: Axes, metric: str, run: str, history: History, onset: int | None, color: str
) -> None:
    steps = [step for step, metrics in history if metric in metrics]
    values = [metrics[metric] for _, metrics in history if metric in metrics]
    marker = "o" if len(steps) < 30 else ""  # few points read better with their dots
    axis.plot(steps, values, label=run, color=color, marker=marker, markersize=3)
    if onset is not None:
        axis.axvline(onset, color=color, linestyle=":", linewidth=1)
