"""Draws pictures of several models: maps side by side, and outliers over the steps of training.

In: pictures and metrics of several models. Out: PNG files. Next: ``poise evaluate registers``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from PIL import Image, ImageDraw, ImageFont

_TITLE_PX = 24
_GAP_PX = 12

Curve = Sequence[tuple[int, float]]
"""Pairs of a step and a value."""

TRAINING_METRICS = {
    "patches/norm_q50": "patch q50",
    "patches/norm_q99": "patch q99",
    "patches/norm_max": "patch max",
    "tokens/cls_norm": "[cls]",
    "tokens/register_norm": "registers",
}
"""Maps the metrics that training logs about norms to their labels in the legend."""

TRAINING_SHARE = "patches/outlier_share"


def place_side_by_side(path: Path, pictures: Mapping[str, Path]) -> None:
    """Places pictures of the same images side by side, each below the name of its model.

    Args:
        path: path of the PNG file.
        pictures: PNG files by the name of the model, in the order from left to right.
    """
    opened = []
    for picture in pictures.values():
        with Image.open(picture) as file:
            opened.append(file.convert("RGB"))
    width = sum(image.width for image in opened) + _GAP_PX * (len(opened) - 1)
    height = max(image.height for image in opened) + _TITLE_PX
    together = Image.new("RGB", (width, height), "white")
    draw, left = ImageDraw.Draw(together), 0
    for name, image in zip(pictures, opened, strict=True):
        draw.text((left + 6, 4), name, fill="black", font=ImageFont.load_default(size=15))
        together.paste(image, (left, _TITLE_PX))
        left += image.width + _GAP_PX
    together.save(path)


def draw_training(path: Path, curves: Mapping[str, Curve]) -> None:
    """Draws norms and the share of outliers over the steps of one training run.

    Published: outliers appear after the first third of training, and only in large models.

    Args:
        path: path of the PNG file.
        curves: curves by the names in ``TRAINING_METRICS`` and ``TRAINING_SHARE``.
    """
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    norms, shares = figure.subplots(1, 2)
    for name, label in TRAINING_METRICS.items():
        if curves.get(name):
            norms.plot(*zip(*curves[name], strict=True), label=label, linewidth=1.3)
    norms.set_yscale("log")
    norms.yaxis.set_major_formatter("{x:g}")
    norms.yaxis.set_minor_formatter(NullFormatter())
    norms.set_title("norms before the last norm layer", fontsize=9)
    norms.legend(fontsize=8)
    steps, values = zip(*curves[TRAINING_SHARE], strict=True)
    shares.plot(steps, [100 * value for value in values], color="#d55e00")
    shares.set_title("outliers among patches, %", fontsize=9)
    shares.set_ylim(0, max(1.0, 110 * max(values)))
    for axis in (norms, shares):
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
    figure.savefig(path, dpi=120)


def draw_steps(path: Path, figures: Mapping[int, Mapping[str, float]]) -> None:
    """Draws the metrics of a run's checkpoints over their training steps.

    Args:
        path: path of the PNG file.
        figures: metrics of ``measure_registers`` by training step.
    """
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    shares, norms = figure.subplots(1, 2)
    steps = sorted(figures)
    shares.plot(steps, [figures[step]["outlier_share"] for step in steps], "o-", color="#d55e00")
    shares.set_title("outliers among patches, %", fontsize=9)
    shares.set_ylim(bottom=0)
    for name in ("norm_median", "norm_largest", "norm_outlier", "norm_cls", "norm_register_1"):
        known = [(step, figures[step][name]) for step in steps if name in figures[step]]
        if known:
            label = name.removeprefix("norm_").replace("_", " ")
            norms.plot(*zip(*known, strict=True), "o-", label=label)
    norms.set_yscale("log")
    norms.yaxis.set_major_formatter("{x:g}")
    norms.yaxis.set_minor_formatter(NullFormatter())
    norms.set_title("norms, last block", fontsize=9)
    norms.legend(fontsize=8)
    for axis in (norms, shares):
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
    figure.savefig(path, dpi=120)
