"""Measures several models with one evaluation, logs the results to their runs and prints them.

In: models, a dataset and an evaluation. Out: tables or JSON on stdout, and files in a folder. Next:
the commands of `poise evaluate` that use this function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.console import print_table
from poise.cli.evaluate.models import NamedModel, open_models
from poise.cli.evaluate.options import JsonOption, RayOption, image_progress, spread_over_ray
from poise.cli.evaluate.output import print_origin
from poise.evaluation.measurement import as_name

if TYPE_CHECKING:
    from poise.data.dataset import ImageDataset
    from poise.evaluation.report import EvaluationReport, Figure, Measure


@dataclass(frozen=True)
class EvaluationOptions:
    """Arguments and options that these commands share."""

    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL", help="Folders of backbone packages, or models:/NAME/VERSION."
        ),
    ]
    dataset: Annotated[str, typer.Argument(help="Prepared dataset.")]
    max_images: Annotated[
        int | None,
        typer.Option(min=1, help="Largest number of images, drawn at random. Default: all."),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for files and pictures. Default: NAME-DATASET."),
    ] = None
    ray: RayOption = None
    as_json: JsonOption = False


@dataclass(frozen=True)
class MeasuredModel:
    """A model, its report, and the folder of its files."""

    model: NamedModel
    report: EvaluationReport
    folder: Path


Together = Callable[[Sequence[MeasuredModel], Path], Sequence[Path]]
"""A function that makes files about all models in the evaluation's folder, and returns them."""


@dataclass(frozen=True)
class Evaluation:
    """One kind of evaluation, such as ``objects``."""

    name: str
    """Name; it begins the name of the folder of files."""

    measure: Measure
    """Function that evaluates one model."""

    together: Together | None = None
    """Function that makes files about all models, when each is measured. They are logged to the run
    of every model."""

    num_passes: Callable[[int], int] = int
    """Function that counts the images that pass through the backbone for so many images of the
    dataset; by default each passes once."""


def evaluate_models(
    evaluation: Evaluation, options: EvaluationOptions, dataset: ImageDataset | None = None
) -> None:
    """Measures every model, logs each report to the model's run, and prints the reports.

    Arguments and errors are those of ``measure_models``.
    """
    measured, files = measure_models(
        evaluation, options, dataset, on_model=_ignore if options.as_json else _print
    )
    if options.as_json:
        models = [described(each) for each in measured]
        out = str(measured[0].folder.parent)
        print(json.dumps({"out": out, "files": list(map(str, files)), "models": models}, indent=2))
        return
    if files:
        print(f"together  {', '.join(map(str, files))}")


def _ignore(measured: MeasuredModel) -> None:
    """Prints nothing."""


def measure_models(
    evaluation: Evaluation,
    options: EvaluationOptions,
    dataset: ImageDataset | None = None,
    on_model: Callable[[MeasuredModel], None] = _ignore,
    models: Sequence[NamedModel] | None = None,
) -> tuple[list[MeasuredModel], list[Path]]:
    """Measures every model and logs each report to the model's run.

    Args:
        evaluation: what is measured.
        options: arguments and options of the command.
        dataset: the dataset, if ``options.dataset`` does not name a prepared one.
        on_model: function that is called with each model when it is measured.
        models: the opened models of the options; None opens them.

    Returns:
        The models with their reports, in the order of the options, and the files about all models.

    Raises:
        PoiseError: a model or the dataset cannot be opened, or is not suitable for the evaluation.
    """
    from poise.data.dataset import ImageDataset

    if dataset is None:
        dataset = ImageDataset.open(options.dataset)
    out = options.out or Path(f"{evaluation.name}-{as_name(dataset.manifest.name)}")
    measured = []
    for model in open_models(options.models) if models is None else models:
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

    from poise.evaluation.reading.bench import Bench
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
    """Writes the report to the folder of its pictures, and logs all files to the model's run."""
    from poise.tracking.evaluation import log_evaluation

    path = folder / f"{report.file_name}.json"
    path.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    if model.run_id:
        step = model.step or 0
        points = {metric: [(step, value)] for metric, value in report.figures.items()}
        files = [path, *(folder / picture for picture in report.pictures)]
        log_evaluation(model.run_id, points, files, f"probes/{report.measurement}")


def _keep_together(measured: Sequence[MeasuredModel], files: Sequence[Path]) -> None:
    from poise.tracking.evaluation import log_evaluation

    for each in measured:
        if each.model.run_id and files:
            log_evaluation(each.model.run_id, {}, files, f"probes/{each.report.measurement}")


def described(measured: MeasuredModel) -> dict[str, Any]:
    """Describes a model and its report, for JSON."""
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
