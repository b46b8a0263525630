"""Evaluates a model by k-NN, and reports it like every other evaluation.

In: an ``EvaluationTask``, and the bank, a dataset whose labelled images vote. Out: an
``EvaluationReport``. Next: ``poise evaluate all``.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from poise.data.dataset import ImageDataset
from poise.evaluation.answers_per_image import ENDING, Answers
from poise.evaluation.measurement import Accuracy, as_name
from poise.evaluation.neighbours.knn import PROTOCOL
from poise.evaluation.neighbours.report import KnnRow, report_knn
from poise.evaluation.neighbours.sets import open_knn_sets
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure

K: Final = 20
"""Number of nearest neighbours that vote for the class of an image, as published."""


def measure_knn(task: EvaluationTask, bank: ImageDataset | None = None) -> EvaluationReport:
    """Measures how often the nearest neighbours of an image predict its class.

    Healthy: far above chance, above raw pixels and above the untrained backbone. Broken: not above
    the untrained backbone.

    Args:
        task: task with the model and a labelled dataset. ``max_images`` limits this dataset and the
            bank.
        bank: labelled dataset whose images vote. None takes the dataset of the task. Then each
            image is classified by the other images.

    Raises:
        PoiseError: a dataset has no labels, or the classes of the two datasets differ.
    """
    folder, most = task.dataset.folder, task.max_images
    voting = folder if bank is None else bank.folder
    sets = open_knn_sets(folder, voting, task.image_px, most, most, rereads=False)
    limited = task.changed_by_limit(len(task.dataset), len(bank or task.dataset))
    found, answers = report_knn(task.backbone, sets, task.bench, [K])
    own = "Each image is classified by the others (leave-one-out)."
    report = EvaluationReport(
        protocol=PROTOCOL,
        changed=(f"--bank={(bank or task.dataset).manifest.name}", *limited),
        dataset=str(folder),
        dataset_name=task.dataset.manifest.name,
        image_px=task.image_px,
        num_images=found.query_images,
        figures_found=tuple(_figures(found.rows[0])),
        notes=(own if bank is None else f"The {found.bank_images} images of {voting} vote.",),
        data_files=(f"{as_name(task.dataset.manifest.name)}{ENDING}",),
    )
    _write(task, report, answers)
    return report


def _write(task: EvaluationTask, report: EvaluationReport, answers: Answers) -> None:
    """Writes whether each image's top-1 class is correct, under the name of the report's metric."""
    (right,) = answers.right.values()
    renamed = replace(answers, right={f"{report.prefix}/k{K}_top1": right})
    renamed.write(task.folder / report.data_files[0])


def _figures(row: KnnRow) -> Iterator[Figure]:
    for name, accuracy in (("top1", row.top1), ("top5", row.top5)):
        yield _figure(f"k{row.k}_{name}", accuracy)


def _figure(name: str, accuracy: Accuracy) -> Figure:
    return Figure(name, accuracy.percent, "%", accuracy.low, accuracy.high)
