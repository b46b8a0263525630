"""Image retrieval on any labelled dataset: each image is a query for the others of its class.

In: a backbone and a labelled dataset. Out: an ``EvaluationReport`` and a picture of queries with
their nearest images. Next: ``poise evaluate retrieval``.

Protocol ``retrieval/same-class-v1``: features are those of k-NN, L2-normalised and compared by
cosine. Images of the same class are relevant. Average precision is the trapezoidal area of
revisited Oxford and Paris (arXiv 1803.11285). Recall at k is the share of queries with a relevant
image among the first k, as in metric learning (arXiv 1511.06452). ``pixels_map`` is the mean
average precision without a backbone: images are shrunk to 16 × 16, and the mean image is
subtracted.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.data.dataset import ImageDataset
from poise.evaluation.measurement import accuracy
from poise.evaluation.neighbours.mean_figure import mean_figure
from poise.evaluation.neighbours.ranking_pictures import Mark, Ranked, Ranking, draw_rankings
from poise.evaluation.neighbours.same_class import ClassRetrieval, retrieve_classes
from poise.evaluation.neighbours.sets import check_labelled
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.features import one_feature
from poise.evaluation.reading.finite import warn_if_equal
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.pixels import WithPixels, centred
from poise.evaluation.reading.thumbnails import thumbnails
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure
from poise.models.readout import default_feature

PROTOCOL = "retrieval/same-class-v1"
PICTURE = "nearest-images.png"

_CUTOFFS = (1, 5, 10)
_DRAWN_QUERIES, _DRAWN_NEAREST = 8, 8
_THUMBNAIL_PX = 96


class _Read(NamedTuple):
    """Features, pixels and labels of the images that have a label."""

    features: Tensor
    pixels: Tensor
    labels: Tensor
    sample_ids: NDArray[np.int64]


def measure_retrieval(task: EvaluationTask, feature: str | None = None) -> EvaluationReport:
    """Measures how well a backbone finds images of the same class.

    Healthy: ``map`` is well above ``pixels_map`` and above ``map`` of the untrained backbone.
    ``pixels_map`` is itself above chance. Broken: ``map`` is not above ``pixels_map``. If ``map``
    is at chance, the backbone may give every image the same feature.

    Args:
        task: the model and a labelled dataset.
        feature: kind of feature to compare. None takes the default feature of k-NN.

    Raises:
        PoiseError: the dataset has no labels, fewer than two labelled images, or no class with two
            images. Or the backbone has no such feature.
    """
    check_labelled(task.dataset.folder, task.dataset.manifest, "retrieval compares labels")
    default = default_feature(task.backbone)
    read = _read(task, feature or default)
    found = retrieve_classes(read.features, read.labels, max(_CUTOFFS))
    answered = found.has_answer
    if not bool(answered.any()):
        raise PoiseError(
            f"{task.dataset.folder}: has {counted(len(answered), 'image')}, and no class has two "
            "of them, so no image has another one to find; take more images"
        )
    pixels = retrieve_classes(centred(read.pixels), read.labels, 1)
    draw_rankings(task.folder / PICTURE, list(_rankings(task.dataset, read, found)))
    return EvaluationReport(
        protocol=PROTOCOL,
        changed=(
            *(() if feature in (None, default) else (f"--feature={feature}",)),
            *task.changed_by_limit(),
        ),
        dataset=str(task.dataset.folder),
        dataset_name=task.dataset.manifest.name,
        image_px=task.image_px,
        num_images=len(answered),
        figures_found=tuple(_figures(found, pixels)),
        notes=tuple(_notes(found)),
        pictures=(PICTURE,),
    )


def _read(task: EvaluationTask, feature: str) -> _Read:
    reader = one_feature(task.backbone, feature, task.image_px)
    images = EvaluationImages.for_one_pass(task.dataset, task.image_px, task.max_images)
    features, pixels, labels = [], [], []
    for outputs, batch_labels in image_pass(WithPixels(reader), images, task.bench):
        features.append(outputs["features"].float())
        pixels.append(outputs["pixels"])
        labels.append(batch_labels)
    every = torch.cat(labels)
    known = every >= 0
    if int(known.sum()) < 2:
        raise PoiseError(
            f"{task.dataset.folder}: {int(known.sum())} of the images have a label, and retrieval "
            "needs two; choose another dataset"
        )
    warn_if_equal(torch.cat(features), task.dataset.folder)
    return _Read(
        torch.cat(features)[known.to(task.bench.device)],
        torch.cat(pixels)[known.to(task.bench.device)],
        every[known],
        images.sample_ids[known.numpy()],
    )


def _figures(found: ClassRetrieval, pixels: ClassRetrieval) -> Iterator[Figure]:
    answered = found.has_answer
    yield mean_figure("map", found.average_precision[answered].numpy())
    first = found.first_place[answered]
    for cutoff in _CUTOFFS:
        share = accuracy(int((first < cutoff).sum()), len(first))
        yield Figure(f"recall_at_{cutoff}", share.percent, low=share.low, high=share.high)
    yield mean_figure("pixels_map", pixels.average_precision[answered].numpy())


def _notes(found: ClassRetrieval) -> Iterator[str]:
    answered = found.has_answer
    chance = 100 * float(found.chance[answered].mean())
    yield (
        f"A random order has a map of about {chance:.1f} %. pixels_map is the figure of the "
        "images themselves, shrunk to 16 × 16: a backbone below it is worth nothing here."
    )
    alone = int((~answered).sum())
    if alone:
        yield f"{alone} images are alone in their class and are no queries, but stay to be found."


def _rankings(dataset: ImageDataset, read: _Read, found: ClassRetrieval) -> Iterator[Ranking]:
    """Yields some queries with their nearest images, for the picture.

    The queries are evenly spaced in the order from the best to the worst result.
    """
    rows = found.has_answer.nonzero().squeeze(1)
    ordered = rows[found.average_precision[rows].argsort(descending=True, stable=True)]
    steps = torch.linspace(0, len(ordered) - 1, min(_DRAWN_QUERIES, len(ordered))).round().long()
    classes = dataset.manifest.classes
    for row in ordered[steps].tolist():
        nearest = found.nearest[row, :_DRAWN_NEAREST].tolist()
        query, *images = thumbnails(dataset, read.sample_ids[[row, *nearest]], _THUMBNAIL_PX)
        own = int(read.labels[row])
        ranked = [
            Ranked(image, classes[int(read.labels[other])], Mark.of(int(read.labels[other]) == own))
            for image, other in zip(images, nearest, strict=True)
        ]
        precision = 100 * float(found.average_precision[row])
        yield Ranking(query, f"{classes[own]}\nAP {precision:.0f} %", ranked)
