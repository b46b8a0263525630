"""Measures several models with one evaluation, logs the results to their runs and prints them.

In: models, a dataset and an evaluation. Out: tables or JSON on stdout, and files in a folder. Next:
the commands of `poise evaluate` that call these functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.completion import complete_dataset, complete_model_or_dataset
from poise.cli.console import print_table
from poise.cli.evaluate.models import NamedModel, check_transformers, open_models
from poise.cli.evaluate.options import (
    RayOption,
    image_progress,
    register_figures,
    spread_over_ray,
)
from poise.cli.evaluate.output import print_origin, value_lines
from poise.cli.output import Output
from poise.evaluation.measurement import as_name

if TYPE_CHECKING:
    from poise.data.dataset import ImageDataset
    from poise.evaluation.report import EvaluationReport, Figure, Measure


@dataclass(frozen=True)
class EvaluationOptions:
    """Arguments and options that most commands of `poise evaluate` share."""

    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Folders of backbone packages, or models:/NAME/VERSION.",
            autocompletion=complete_model_or_dataset,
        ),
    ]
    dataset: Annotated[
        str, typer.Argument(help="Prepared dataset.", autocompletion=complete_dataset)
    ]
    max_images: Annotated[
        int | None,
        typer.Option(min=1, help="Largest number of images, drawn at random. Default: all."),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for files and pictures. Default: NAME-DATASET."),
    ] = None
    ray: RayOption = None


@dataclass(frozen=True)
class MeasuredModel:
    """Model, its report, and the folder of its files."""

    model: NamedModel
    report: EvaluationReport
    folder: Path


Together = Callable[[Sequence[MeasuredModel], Path], Sequence[Path]]
"""Function that makes files about all models in the evaluation's folder, and returns their paths.
"""


@dataclass(frozen=True)
class Evaluation:
    """Kind of evaluation, such as ``objects``."""

    name: str
    """Name of the evaluation. The name of its folder begins with it."""

    measure: Measure
    """Function that measures one model."""

    together: Together | None = None
    """Function that makes files about all models after the last measurement. The files are logged
    to the run of every model.
    """

    num_passes: Callable[[int], int] = int
    """Function from the number of images in the dataset to the number of images that pass through
    the backbone. By default, each image passes once.
    """

    reads_patches: bool = False
    """Whether the evaluation reads blocks or patch tokens, which residual networks do not have."""


def evaluate_models(
    evaluation: Evaluation, options: EvaluationOptions, dataset: ImageDataset | None = None
) -> Output:
    """Measures every model, logs each report to the model's run, and returns the output.

    The arguments and errors are those of ``measure_models``.
    """
    measured, files = measure_models(evaluation, options, dataset, on_model=_print)
    names = list(map(str, files))
    return Output(
        document=lambda: {
            "out": str(measured[0].folder.parent),
            "files": names,
            "models": [described(each) for each in measured],
        },
        result=[
            line for each in measured for line in value_lines(each.model.reference, each.report)
        ],
        show=lambda: print(f"together  {', '.join(names)}") if names else None,
    )


def _ignore(measured: MeasuredModel) -> None:
    """Prints nothing about a model."""


def measure_models(
    evaluation: Evaluation,
    options: EvaluationOptions,
    dataset: ImageDataset | None = None,
    on_model: Callable[[MeasuredModel], None] = _ignore,
    models: Sequence[NamedModel] | None = None,
) -> tuple[list[MeasuredModel], list[Path]]:
    """Measures every model and logs each report to the model's run.

    Args:
        evaluation: kind of evaluation.
        options: arguments and options of the command.
        dataset: dataset to use if ``options.dataset`` is not a prepared dataset.
        on_model: function that is called after each model, with the measured model.
        models: opened models. None means that the models of the options are opened.

    Returns:
        The measured models, in the order of the options, and the files about all models.

    Raises:
        PoiseError: a model or the dataset cannot be opened, or is not suitable for the evaluation.
    """
    from poise.data.dataset import READ_ONCE_BYTES, ImageDataset

    if dataset is None:
        dataset = ImageDataset.open(options.dataset, READ_ONCE_BYTES)
    models = open_models(options.models) if models is None else models
    if evaluation.reads_patches:
        check_transformers(models)
    out = options.out or Path(f"{evaluation.name}-{as_name(dataset.manifest.name)}")
    measured = []
    for model in models:
        folder = out / model.label
        folder.mkdir(parents=True, exist_ok=True)
        report = _measure(model, dataset, folder, options, evaluation)
        _keep(model, report, folder)
        measured.append(MeasuredModel(model, report, folder))
        on_model(measured[-1])
    files = list(evaluation.together(measured, out)) if evaluation.together else []
    _keep_together(measured, files)
    return measured, files


def _measure(
    model: NamedModel,
    dataset: ImageDataset,
    folder: Path,
    options: EvaluationOptions,
    evaluation: Evaluation,
) -> EvaluationReport:
    import torch

    from poise.evaluation.reading.inference import Bench
    from poise.evaluation.report import EvaluationTask

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    num_images = evaluation.num_passes(min(len(dataset), options.max_images or len(dataset)))
    spread = spread_over_ray(options.ray, num_images)
    with image_progress(num_images, model.label) as on_images:
        bench = Bench(model.normalization, device, spread, on_images)
        backbone = model.backbone.to(device)
        task = EvaluationTask(backbone, dataset, bench, model.image_px, folder, options.max_images)
        report = evaluation.measure(task)
    model.backbone.cpu()
    return report


def _keep(model: NamedModel, report: EvaluationReport, folder: Path) -> None:
    """Writes the report beside its pictures, and logs all files to the model's run."""
    from poise.tracking.evaluation import log_evaluation

    path = folder / f"{report.file_name}.json"
    path.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    if model.run_id:
        step = model.step or 0
        points = {metric: [(step, value)] for metric, value in report.figures.items()}
        names = (*report.pictures, *report.data_files)
        files = [path, *(folder / name for name in names)]
        log_evaluation(model.run_id, points, files, _artifacts(report))
        register_figures(model.run_id, model.package, report)


def _keep_together(measured: Sequence[MeasuredModel], files: Sequence[Path]) -> None:
    from poise.tracking.evaluation import log_evaluation

    for each in measured:
        if each.model.run_id and files:
            log_evaluation(each.model.run_id, {}, files, _artifacts(each.report))


def _artifacts(report: EvaluationReport) -> str:
    """Returns the folder among a run's artifacts for the files of one evaluation of one dataset."""
    return f"probes/{report.measurement}/{report.file_name}"


def described(measured: MeasuredModel) -> dict[str, Any]:
    """Returns a model and its report as a dict for JSON."""
    model = measured.model
    return {
        "model": model.reference,
        "label": model.label,
        "run_id": model.run_id,
        "step": model.step,
        "folder": str(measured.folder),
        **asdict(measured.report),
    }


def _print(measured: MeasuredModel) -> None:
    model, report, folder = measured.model, measured.report, measured.folder
    print_origin(model.reference, model.run_id, report, report.changed)
    print(f"images    {report.num_images} of {report.dataset}\n")
    print_table(("metric", "value", "95 % interval"), [_row(each) for each in report.figures_found])
    for note in report.notes:
        print(f"\n{note}")
    print(f"\nfiles     {folder}\n")


def _row(figure: Figure) -> tuple[str, str, str]:
    unit = f" {figure.unit}" if figure.unit else ""
    if figure.low is None or figure.high is None:
        return figure.name, f"{figure.value:.4g}{unit}", ""
    return figure.name, f"{figure.value:.4g}{unit}", f"{figure.low:.4g} – {figure.high:.4g}"
