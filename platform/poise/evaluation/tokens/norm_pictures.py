"""Draws the norms of tokens over blocks.

In: an ``AttentionReport``. Out: a PNG file. Next: ``poise.tracking`` stores the file as an artifact
of MLflow.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from poise.evaluation.tokens.attention import AttentionReport
from poise.evaluation.tokens.attention_pictures import label_blocks

_PATCHES, _CLASS, _REGISTERS = "#0072b2", "#d55e00", "#009e73"  # of Okabe and Ito's colours
_QUANTILES = (("max", ":"), ("q99", "-."), ("q90", "--"), ("q50", "-"))

_ADD_REGISTERS_FROM = 0.01
_READING = (
    "Healthy: the largest patch is at most a few times the median, and no patch is an outlier.\n"
    "Broken: in later blocks the largest patches are about ten times the median, and 1 % or more "
    "are outliers. Then add registers."
)


def draw_norms(path: str | Path, report: AttentionReport) -> None:
    """Draws the norms of tokens after each block, and the share of outlier patches.

    The left panel shows quantiles of the patches, the mean of [cls] and the mean of each register.
    The right panel shows ``outlier_share`` and a line at 1 %. Above this line, registers should be
    added. A text below the panels explains healthy and broken values.

    Args:
        path: path of the PNG file.
        report: report on one model.
    """
    figure = Figure(figsize=(8, 4), layout="constrained")
    lengths, outliers = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_lengths(lengths, report)
    _draw_outliers(outliers, report)
    figure.legend(loc="outside upper center", ncols=6, fontsize=8, handlelength=3)
    figure.supxlabel(_READING, fontsize=8)
    figure.savefig(path, dpi=150)


def _draw_lengths(axis: Axes, report: AttentionReport) -> None:
    numbers = range(1, len(report.norms) + 1)
    for quantile, dashes in _QUANTILES:
        lengths = [block[f"pos_norm_{quantile}"] for block in report.norms]
        axis.plot(
            numbers, lengths, dashes, color=_PATCHES, linewidth=1.4, label=f"patch {quantile}"
        )
    if report.has_class_token:
        lengths = [block["cls_norm"] for block in report.norms]
        axis.plot(numbers, lengths, "s-", color=_CLASS, markersize=4, linewidth=1.4, label="[cls]")
    for register in range(1, report.num_registers + 1):
        lengths = [block[f"register_norm_{register}"] for block in report.norms]
        label = "each register" if register == 1 else None
        axis.plot(
            numbers, lengths, "^-", color=_REGISTERS, markersize=4, linewidth=0.8, label=label
        )
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    label_blocks(axis, "length of tokens after the block", len(report.norms))


def _draw_outliers(axis: Axes, report: AttentionReport) -> None:
    percents = [100 * block["pos_outlier_share"] for block in report.norms]
    axis.plot(range(1, len(percents) + 1), percents, "o-", color=_PATCHES, markersize=4)
    limit = 100 * _ADD_REGISTERS_FROM
    axis.axhline(limit, color="0.4", linewidth=0.8, linestyle=":")
    axis.annotate("add registers", (1, limit), color="0.4", fontsize=8, va="bottom")
    axis.set_ylim(0, 1.1 * max(*percents, 2 * limit))
    label_blocks(axis, "outliers among patches, %", len(percents))
