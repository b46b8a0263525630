"""Draws curves of a run's metrics as PNG files.

In: histories, each with the metrics of one run by step. Out: PNG files. Next: ``poise.tracking``
stores the files in MLflow.
"""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poise.diagnostics.history import History

CURVES = (
    ("loss/over_ln_k", "loss / ln K"),
    ("teacher/entropy_over_ln_k", "teacher's entropy / ln K"),
    ("teacher/kl_over_ln_k", "KL(teacher‖student) / ln K"),
    ("teacher/mutual_information_over_ln_k", "mutual information / ln K"),
    ("loss/over_mean_patch", "loss / loss of the mean patch"),
    ("prediction/std_over_target", "spread of predictions / spread of patches"),
    ("features/rankme", "RankMe of the features"),
    ("eval/knn_top1", "k-NN accuracy in percent"),
    ("eval/linear_top1", "linear probe accuracy in percent"),
)
"""Names of the metrics that the picture of curves shows, each with the title of its plot."""


def draw_curves(
    path: str | Path, runs: Mapping[str, History], onsets: Mapping[str, int | None] | None = None
) -> None:
    """Draws the metrics that decide a verdict over training steps, with one curve for each run.

    Args:
        path: path of the PNG file.
        runs: history of each run, by the run's name. A metric that no run recorded gets no plot.
        onsets: step at which each run's collapse began, by the run's name. A dotted line marks the
            step.

    Raises:
        ValueError: no run has any of the metrics in ``CURVES``.
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


def _draw_curve(
    axis: Axes, metric: str, run: str, history: History, onset: int | None, color: str
) -> None:
    steps = [step for step, metrics in history if metric in metrics]
    values = [metrics[metric] for _, metrics in history if metric in metrics]
    marker = "o" if len(steps) < 30 else ""  # a few points are easier to see with markers
    axis.plot(steps, values, label=run, color=color, marker=marker, markersize=3)
    if onset is not None:
        axis.axvline(onset, color=color, linestyle=":", linewidth=1)
