"""Computes the embedding map of a dataset: its metrics, its projections and its class tree.

In: a backbone and a dataset. Out: an ``EvaluationReport`` and an ``EmbeddingMap``. Next:
``poise evaluate map``, which passes the map to ``poise.reports.embedding_map``.

Protocol ``map/features-v1`` uses the features of k-NN, L2-normalised. It uses at most 5,000 images,
chosen at random with seed 0, so that the page stays small enough for a browser.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.evaluation.embedding_map.class_tree import (
    agreement,
    class_distances,
    class_tree,
)
from poise.evaluation.embedding_map.content import (
    ClassTree,
    EmbeddingMap,
    Floats,
    Integers,
    Projection,
)
from poise.evaluation.embedding_map.projections import UMAP_MISSING, has_umap, project
from poise.evaluation.embedding_map.sprites import make_sprites
from poise.evaluation.embedding_map.tree_sentences import tree_sentences
from poise.evaluation.neighbours.mean_figure import mean_figure
from poise.evaluation.neighbours.nearest import Nearest, find_nearest
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.finite import warn_if_equal
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.pixels import WithPixels, centred
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure

PROTOCOL = "map/features-v1"
MAX_IMAGES = 5000
PAGE = "map.html"

_NEIGHBORS = 10
_FEWEST_IMAGES = 8


@dataclass(frozen=True)
class _Read:
    """Features, pixels and labels of the n images of the map."""

    features: Tensor
    """L2-normalised features, on the CPU: [n, D]."""

    pixels: Tensor
    labels: Integers
    sample_ids: Integers

    @property
    def groups(self) -> list[Integers]:
        """For each class that has an image: the row numbers of its images."""
        present = np.unique(self.labels[self.labels >= 0])
        return [np.flatnonzero(self.labels == label) for label in present]


def embed(task: EvaluationTask) -> tuple[EvaluationReport, EmbeddingMap]:
    """Computes the embedding map of a dataset and its metrics.

    Healthy: ``same_class_neighbours`` is well above ``pixels_same_class_neighbours``, and
    ``class_distance_reliability`` is above 0.9. A ``pixel_distance_agreement`` near 1 means that
    classes are near each other because their colours are similar. Broken: the share of neighbours
    of the same class is not above the share of the most frequent class.

    Args:
        task: the model and a dataset. Labels are needed only for the class tree.

    Raises:
        PoiseError: ``max_images`` is larger than a page can show, or the dataset has fewer than 8
            images.
    """
    _check_size(task)
    read = _read(task)
    features: Floats = read.features.double().numpy()
    classes = task.dataset.manifest.classes
    nearest = find_nearest(read.features, _NEIGHBORS)
    projections = list(project(features))
    tree = class_tree(features, read.labels, classes)
    notes = tuple(_notes(task, len(features)))
    report = EvaluationReport(
        protocol=PROTOCOL,
        changed=task.changed_by_limit(min(len(task.dataset), MAX_IMAGES)),
        dataset=str(task.dataset.folder),
        dataset_name=task.dataset.manifest.name,
        image_px=task.image_px,
        num_images=len(features),
        figures_found=tuple(_figures(read, nearest, projections, tree)),
        notes=(*(tree_sentences(tree) if tree else ()), *notes),
        pictures=(PAGE,),
    )
    return report, EmbeddingMap(
        model=task.folder.name,
        dataset=task.dataset.manifest.name,
        protocol=PROTOCOL,
        classes=classes,
        sample_ids=read.sample_ids,
        labels=read.labels,
        projections=projections,
        nearest=nearest.rows.numpy(),
        similarities=nearest.similarities.double().numpy(),
        sprites=make_sprites(task.dataset, read.sample_ids),
        tree=tree,
        sentences=tuple(tree_sentences(tree)) if tree else (),
        notes=notes,
    )


def _check_size(task: EvaluationTask) -> None:
    if task.max_images is not None and task.max_images > MAX_IMAGES:
        raise PoiseError(
            f"--max-images {task.max_images}: a page shows at most {MAX_IMAGES} images; choose "
            "fewer, or leave the option out"
        )


def _read(task: EvaluationTask) -> _Read:
    limit = min(task.max_images or MAX_IMAGES, MAX_IMAGES)
    images = EvaluationImages.for_one_pass(task.dataset, task.image_px, limit)
    if len(images) < _FEWEST_IMAGES:
        raise PoiseError(
            f"{task.dataset.folder}: a map of {counted(len(images), 'image')} shows nothing; use "
            f"at least {_FEWEST_IMAGES}"
        )
    features, pixels, labels = [], [], []
    for outputs, batch_labels in image_pass(WithPixels(task.backbone), images, task.bench):
        features.append(normalize(outputs["features"].float(), dim=1).cpu())
        pixels.append(outputs["pixels"].cpu())
        labels.append(batch_labels)
    warn_if_equal(torch.cat(features), task.dataset.folder)
    return _Read(
        torch.cat(features),
        normalize(centred(torch.cat(pixels)), dim=1),
        torch.cat(labels).numpy(),
        images.sample_ids,
    )


def _figures(
    read: _Read, nearest: Nearest, projections: list[Projection], tree: ClassTree | None
) -> Iterator[Figure]:
    if tree is not None:
        known = read.labels >= 0
        for prefix, found in (("", nearest), ("pixels_", find_nearest(read.pixels, _NEIGHBORS))):
            same = read.labels[found.rows.numpy()] == read.labels[:, None]
            yield mean_figure(f"{prefix}same_class_neighbours", same.mean(axis=1)[known])
        low, high = tree.interval
        yield Figure("cophenetic_correlation", tree.cophenetic, "", low, high)
        yield Figure("class_distance_reliability", tree.reliability, "")
        pixels: Floats = read.pixels.double().numpy()
        distances = class_distances(read.features.double().numpy(), read.groups)
        agreed = agreement(distances, class_distances(pixels, read.groups))
        yield Figure("pixel_distance_agreement", agreed, "")
    for each in projections:
        name = each.name.lower().replace("-", "")
        yield Figure(f"trustworthiness_{name}", each.trustworthiness, "")


def _notes(task: EvaluationTask, num_images: int) -> Iterator[str]:
    if num_images < len(task.dataset):
        yield (
            f"The map shows {num_images} of {len(task.dataset)} images, drawn with seed 0; all "
            "figures are of these."
        )
    if not has_umap():
        yield UMAP_MISSING
