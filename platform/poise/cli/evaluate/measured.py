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

    @property
    def file(self) -> Path:
        """Path of the report's file."""
        return self.folder / f"{self.report.file_name}.json"


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
    """Whether the evaluation reads patch tokens. If so, all models are checked before the first is
    measured.
    """


def evaluate_models(
    evaluation: Evaluation, options: EvaluationOptions, dataset: ImageDataset | None = None
) -> Output:
    """Measures every model, logs each report to the model's run, and returns the output.

    The arguments and errors are those of ``measure_models``.
    """
    measured = measure_models(evaluation, options, dataset, on_model=_log_and_print)
    names = list(map(str, log_together(evaluation, measured)))
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


def measure_models(
    evaluation: Evaluation,
    options: EvaluationOptions,
    dataset: ImageDataset | None = None,
    models: Sequence[NamedModel] | None = None,
    *,
    on_model: Callable[[MeasuredModel], None],
) -> list[MeasuredModel]:
    """Measures every model, and writes each report beside its pictures. Logs nothing.

    Args:
        evaluation: kind of evaluation.
        options: arguments and options of the command.
        dataset: dataset to use if ``options.dataset`` is not a prepared dataset.
        models: opened models. None means that the models of the options are opened.
        on_model: function that is called after each model, with the measured model.

    Returns:
        The measured models, in the order of the options.

    Raises:
        PoiseError: a model or the dataset cannot be opened, or is not suitable for the evaluation.
    """
    from poise.data.dataset import ImageDataset

    if dataset is None:
        dataset = ImageDataset.for_one_pass(options.dataset)
    models = open_models(options.models) if models is None else models
    if evaluation.reads_patches:
        check_transformers(models)
    out = options.out or Path(f"{evaluation.name}-{as_name(dataset.manifest.name)}")
    measured = []
    for model in models:
        folder = out / model.label
        folder.mkdir(parents=True, exist_ok=True)
        report = _measure(model, dataset, folder, options, evaluation)
        measured.append(MeasuredModel(model, report, folder))
        measured[-1].file.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
        on_model(measured[-1])
    return measured


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
        try:
            return evaluation.measure(task)
        finally:  # also after an error: the next evaluation needs the memory of the GPU
            model.backbone.cpu()


def log_measured(measured: MeasuredModel) -> None:
    """Logs a report and its files to the model's run, if this store has the run.

    Raises:
        PoiseError: the store does not answer, or refuses the values.
    """
    from poise.tracking.evaluation import log_evaluation

    model, report = measured.model, measured.report
    if model.run_id:
        step = model.step or 0
        points = {metric: [(step, value)] for metric, value in report.figures.items()}
        names = (*report.pictures, *report.data_files)
        files = [measured.file, *(measured.folder / name for name in names)]
        log_evaluation(model.run_id, points, files, _artifacts(report))
        register_figures(model.run_id, model.package, report)


def log_together(evaluation: Evaluation, measured: Sequence[MeasuredModel]) -> Sequence[Path]:
    """Makes the files about all models, logs them to every model's run, and returns their paths.

    Raises:
        PoiseError: the store does not answer.
    """
    from poise.tracking.evaluation import log_evaluation

    if evaluation.together is None:
        return ()
    files = evaluation.together(measured, measured[0].folder.parent)
    for each in measured:
        if each.model.run_id and files:
            log_evaluation(each.model.run_id, {}, files, _artifacts(each.report))
    return files


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


def _log_and_print(measured: MeasuredModel) -> None:
    log_measured(measured)
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
