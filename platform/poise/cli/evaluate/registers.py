"""`poise evaluate registers`: measures outlier patches and registers of models.

In: models and a prepared dataset. Out: values, tables and pictures, logged to the runs that trained
the models. Next: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poise.cli.evaluate.measured import (
    Evaluation,
    EvaluationOptions,
    MeasuredModel,
    evaluate_models,
)
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints

if TYPE_CHECKING:
    from poise.evaluation.report import EvaluationReport, EvaluationTask


@prints
@options_of(EvaluationOptions)
def registers(options: EvaluationOptions) -> Output:
    """Find outlier patches, and what they and registers contain (protocol registers/poise-v1).

    Outliers are patches with norms far above the norms of the others. The command measures how many
    there are, in which block they appear, and where they are in the image. It also measures what
    outliers contain: their position, their pixels, or the class of the whole image. It writes
    blocks.csv and pictures. Maps of several models are placed side by side. For several checkpoints
    of one run, values are drawn over the steps.

    Example: poise evaluate registers models:/no-registers/1 models:/registers/1 data/shapes-test
    """
    return evaluate_models(REGISTERS, options)


def _measure(task: EvaluationTask) -> EvaluationReport:
    from poise.evaluation.outliers.measure import measure_registers

    return measure_registers(task)


def _together(measured: Sequence[MeasuredModel], out: Path) -> list[Path]:
    """Draws pictures that compare models, checkpoints of a run, or steps of a training."""
    return [*_side_by_side(measured, out), *_by_step(measured, out), *_trainings(measured, out)]


def _side_by_side(measured: Sequence[MeasuredModel], out: Path) -> Iterator[Path]:
    from poise.evaluation.outliers.model_comparison_pictures import place_side_by_side
    from poise.evaluation.outliers.pictures import MAPS_FILE

    if len(measured) > 1:
        path = out / "side-by-side.png"
        place_side_by_side(path, {each.model.label: each.folder / MAPS_FILE for each in measured})
        yield path


def _by_step(measured: Sequence[MeasuredModel], out: Path) -> Iterator[Path]:
    """Draws the values of a run's checkpoints over their steps."""
    from poise.evaluation.outliers.model_comparison_pictures import draw_steps

    runs: dict[str, dict[int, dict[str, float]]] = {}
    for each in measured:
        if each.model.step is not None:
            figures = {found.name: found.value for found in each.report.figures_found}
            runs.setdefault(each.model.made_by or "", {})[each.model.step] = figures
    several = [figures for figures in runs.values() if len(figures) > 1]
    for number, of_run in enumerate(several, start=1):
        path = out / ("steps.png" if len(several) == 1 else f"steps-{number}.png")
        draw_steps(path, of_run)
        yield path


def _trainings(measured: Sequence[MeasuredModel], out: Path) -> Iterator[Path]:
    """Draws the norms that training logged, for each run in this store."""
    from poise.evaluation.outliers.model_comparison_pictures import (
        TRAINING_METRICS,
        TRAINING_SHARE,
        draw_training,
    )
    from poise.tracking.metric_values import history
    from poise.tracking.store import open_store

    labels = {each.model.run_id: each.model.label for each in measured if each.model.run_id}
    for run_id, label in labels.items():
        curves = history(open_store(), run_id, [*TRAINING_METRICS, TRAINING_SHARE])
        if len(curves[TRAINING_SHARE]) > 1:
            path = out / f"training-{label}.png"
            draw_training(path, curves)
            yield path


REGISTERS = Evaluation("registers", _measure, _together, reads_patches=True)
"""Evaluation of this command. `poise evaluate all` also uses it."""
