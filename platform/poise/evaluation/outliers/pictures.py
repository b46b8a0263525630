"""Draws pictures of outliers: norms, places, and maps of some images.

In: a ``Reading`` and its rows of blocks. Out: PNG files. Next:
``poise.evaluation.outliers.measure``.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from poise.evaluation.outliers.files import BlockRow
from poise.evaluation.outliers.maps import draw_maps
from poise.evaluation.outliers.outlier_positions import ranks
from poise.evaluation.outliers.sample import TokenSample
from poise.evaluation.outliers.threshold import (
    EDGES,
    PUBLISHED_LIMIT,
    Threshold,
    outlier_mask,
)
from poise.evaluation.outliers.token_pass import Reading
from poise.evaluation.report import EvaluationTask
from poise.evaluation.tokens.attention_pictures import label_blocks

MAPS_FILE, NORMS_FILE, PLACES_FILE = "maps.png", "norms.png", "places.png"

_ORDINARY, _OUTLIER, _OTHER = "#0072b2", "#d55e00", "#009e73"  # of Okabe and Ito's colours
_QUANTILES = (("max", ":"), ("q99", "-."), ("q90", "--"), ("q50", "-"))


def draw_pictures(
    task: EvaluationTask, reading: Reading, rows: Sequence[BlockRow]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Draws norms, places and maps into the task's folder.

    Returns:
        Names of the files, and notes about parts that could not be drawn.
    """
    threshold = rows[-1].threshold
    draw_norms(task.folder / NORMS_FILE, reading, rows)
    draw_places(task.folder / PLACES_FILE, reading, threshold)
    notes = draw_maps(task.folder / MAPS_FILE, task, reading.sample.sample_ids, threshold)
    return (NORMS_FILE, PLACES_FILE, MAPS_FILE), notes


def draw_norms(path: Path, reading: Reading, rows: Sequence[BlockRow]) -> None:
    """Draws a histogram of patch norms, and the norms and outlier shares of all blocks.

    A second peak in the histogram, to the right of the limit, is a group of outliers. With only one
    peak there are no outliers, even if the peak has a long tail.
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    counts, lengths, shares = figure.subplots(1, 3, width_ratios=(4, 4, 3))
    _draw_counts(counts, reading, rows[-1].threshold)
    _draw_lengths(lengths, rows)
    shares.plot(
        [row.number for row in rows],
        [100 * row.outlier_share for row in rows],
        "o-", color=_OUTLIER, markersize=4, label="_",
    )  # fmt: skip
    shares.set_ylim(0, max(1.0, 110 * max(row.outlier_share for row in rows)))
    label_blocks(shares, "outliers among patches, %", len(rows))
    figure.savefig(path, dpi=120)


def _draw_counts(axis: Axes, reading: Reading, threshold: Threshold) -> None:
    counts = reading.norms.counts.blocks[-1][:-1]
    seen = np.flatnonzero(counts)
    shown = slice(max(0, seen[0] - 5), seen[-1] + 6)
    axis.fill_between(EDGES[shown], counts[shown], step="pre", color=_ORDINARY, alpha=0.6)
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=1)
    axis.set_ylim(bottom=0)
    if threshold.found:
        axis.axvline(threshold.limit, color=_OUTLIER, label=f"limit {threshold.limit:.3g}")
    if EDGES[shown][0] < PUBLISHED_LIMIT < EDGES[shown][-1]:
        axis.axvline(PUBLISHED_LIMIT, color="0.4", linestyle=":", label="published limit 150")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8, loc="upper right")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_title("patches by norm, last block", fontsize=9)
    axis.set_xlabel("norm", fontsize=8)
    axis.tick_params(labelsize=8)


def _draw_lengths(axis: Axes, rows: Sequence[BlockRow]) -> None:
    numbers = [row.number for row in rows]
    for quantile, dashes in _QUANTILES:
        values = [row.quantiles[quantile] for row in rows]
        axis.plot(
            numbers, values, dashes, color=_ORDINARY, linewidth=1.3, label=f"patch {quantile}"
        )
    for name in rows[0].prefix:
        color, marker = (_OUTLIER, "s-") if name == "cls" else (_OTHER, "^-")
        shown = {"cls": "[cls]", "register_1": "each register"}.get(name, "_")
        values = [row.prefix[name] for row in rows]
        axis.plot(numbers, values, marker, color=color, markersize=3, linewidth=1, label=shown)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.legend(fontsize=7)
    label_blocks(axis, "norm after the block", len(rows))


def draw_places(path: Path, reading: Reading, threshold: Threshold) -> None:
    """Draws where outliers are: similarity to neighbours, flat background, and positions.

    Published: outliers are similar to their neighbours, so their curve is to the right, and they
    are on flat background. Without outliers, the map shows the mean norm at each position.
    """
    sample, counts = reading.sample, reading.norms.counts
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    beside, ground, places = figure.subplots(1, 3)
    _draw_groups(beside, sample, sample.outputs["cosines"].numpy(), threshold, (-1.0, 1.0))
    beside.set_title("cosine with neighbours after patch embedding", fontsize=9)
    _draw_groups(ground, sample, ranks(-sample.outputs["roughness"]).numpy(), threshold, (0, 100))
    ground.set_title("flatness: rank in the image, 100 is flattest", fontsize=9)
    if threshold.found:
        title, values = "images with an outlier here, %", 100 * counts.heat_map(threshold)
    else:
        title, values = "mean norm (no outliers)", counts.mean_norms()
    drawn = places.imshow(values.reshape(reading.grid), cmap="cividis", interpolation="nearest")
    places.set_title(title, fontsize=9)
    places.set_axis_off()
    figure.colorbar(drawn, ax=places, fraction=0.05).ax.tick_params(labelsize=7)
    figure.savefig(path, dpi=120)


def _draw_groups(
    axis: Axes, sample: TokenSample, values: np.ndarray, threshold: Threshold,
    limits: tuple[float, float],
) -> None:  # fmt: skip
    """Draws histograms of a value for outliers and for ordinary patches."""
    outliers = outlier_mask(sample.norms, threshold).numpy()
    low = max(limits[0], float(values.min()))
    # Few bins, because ranks have only N values. Of many bins, some would get two values.
    bins = np.linspace(low, limits[1], 17 if limits[1] > 1 else 51).tolist()
    groups = (("ordinary", ~outliers, _ORDINARY), ("outliers", outliers, _OUTLIER))
    for name, chosen, color in groups:
        if chosen.any():
            axis.hist(values[chosen], bins, density=True, label=name, color=color, alpha=0.45)
    axis.legend(fontsize=8)
    axis.set_yticks([])
    axis.tick_params(labelsize=8)
