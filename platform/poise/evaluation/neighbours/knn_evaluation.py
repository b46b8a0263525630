"""Metrics of k-NN for a model, as an evaluation like the others.

In: an ``EvaluationTask`` and the dataset that votes. Out: an ``EvaluationReport``. Next:
``poise evaluate all``.
"""

from collections.abc import Iterator
from typing import Final

from poise.data.dataset import ImageDataset
from poise.evaluation.measurement import Accuracy
from poise.evaluation.neighbours.knn import PROTOCOL
from poise.evaluation.neighbours.report import KnnRow, report_knn
from poise.evaluation.neighbours.sets import open_knn_sets
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure

K: Final = 20
"""Number of neighbours that vote, as published."""


def measure_knn(task: EvaluationTask, bank: ImageDataset | None = None) -> EvaluationReport:
    """Measures how often the nearest neighbours of an image know its class.

    Healthy: far above chance, above raw pixels and above the untrained backbone. Broken: not above
    the untrained backbone.

    Args:
        task: task with the model and a labelled dataset. ``max_images`` limits both sets.
        bank: labelled dataset that votes. None takes the dataset of the task: each image is
            classified by the others.

    Raises:
        PoiseError: a dataset has no labels, or the two have different classes.
    """
    folder, most = task.dataset.folder, task.max_images
    voting = folder if bank is None else bank.folder
    sets = open_knn_sets(folder, voting, task.image_px, most, most)
    found = report_knn(task.backbone, sets, task.bench, [K])
    own = "Each image is classified by the others (leave-one-out)."
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=(f"--bank={(bank or task.dataset).manifest.name}", *task.changed_by_limit),
        dataset=str(folder),
        dataset_name=task.dataset.manifest.name,
        image_px=task.image_px,
        num_images=found.query_images,
        figures_found=tuple(_figures(found.rows[0])),
        notes=(own if bank is None else f"The {found.bank_images} images of {voting} vote.",),
    )


def _figures(row: KnnRow) -> Iterator[Figure]:
    for name, accuracy in (("top1", row.top1), ("top5", row.top5)):
        yield _figure(f"k{row.k}_{name}", accuracy)


def _figure(name: str, accuracy: Accuracy) -> Figure:
    return Figure(name, accuracy.percent, "%", accuracy.low, accuracy.high)
