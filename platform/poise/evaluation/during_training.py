"""The probes that watch training: k-NN and a linear one with labels, three without.

In: a recipe. Out: an object that travels to the first training worker and turns the backbone into
``(name, value)`` pairs. Next: the training loop, which calls it at evaluations and adds the
prefix ``eval/``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from poise.config.errors import PoiseError
from poise.config.metrics import LABEL_FREE, LABELLED
from poise.config.recipe import EvaluationConfig, Recipe
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest
from poise.data.views.normalization import normalization
from poise.evaluation.label_free import TrainingViews, lidar_probe, rankme_probe
from poise.evaluation.neighbours.knn import knn_probe
from poise.evaluation.neighbours.ridge import ridge_probe
from poise.evaluation.neighbours.sets import KnnFeatures, KnnSets, check_knn_sets, open_knn_sets
from poise.evaluation.reading.bench import Bench, Normalization
from poise.evaluation.reading.features import features_of
from poise.evaluation.reading.finite import NotFiniteError
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.tokens.probe import ATTENTION_IMAGES, attention_probe


def online_probes(recipe: Recipe) -> "OnlineProbes | None":
    """The recipe's probes, or none where it switches them off.

    Raises:
        PoiseError: a dataset is not there; of queries and bank, one has no labels or the classes
            of the two differ.
    """
    if recipe.evaluation.every_epochs is None:
        return None
    mean_and_std = normalization(recipe.data.views, Manifest.read(recipe.data.dataset))
    return OnlineProbes(recipe, mean_and_std)


class OnlineProbes:
    """Called with a backbone and its device, yields figures of it.

    With labels, in percent: ``knn_top1`` and ``knn_top5`` (``knn/dino-v1``), ``linear_top1``
    (``ridge/poise-v1``). Without: ``rankme`` (``rankme/poise-v1``), from the same pass over the
    bank's images, ``lidar`` (``lidar/poise-v1``), from views of them, and where [cls] of a
    transformer looks (``cls-attention/poise-v1``), on a few of them.

    The datasets are opened at the first call, where it happens; small ones stay in memory,
    decoded, for the next. Choosing the images has a seed of its own, so that runs of different
    seeds are measured on the same images.
    """

    def __init__(self, recipe: Recipe, normalization: Normalization) -> None:
        """Checks the datasets' manifests, so that a mistake shows before training begins."""
        self._recipe = recipe
        self._normalization = normalization
        self._images: _Images | None = None
        bank, queries = _bank(recipe), recipe.evaluation.queries
        if queries is None:
            Manifest.read(bank)
            return
        try:
            check_knn_sets(queries, bank)
        except PoiseError as error:
            raise PoiseError(
                f"evaluation.queries: {error}; evaluation.queries=null trains without labels"
            ) from None

    def __call__(self, backbone: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """Evaluates; the backbone gets its modes back."""
        self._images = self._images or _Images.open(self._recipe)
        try:
            yield from self._of_features(self._images, backbone, device)
        except NotFiniteError:  # a run that has diverged ends by its verdict, not by an error
            labelled = LABELLED if self._images.labelled is not None else ()
            for name in (*labelled, *LABEL_FREE):
                yield name.removeprefix("eval/"), math.nan
        yield from attention_probe(backbone, self._images.few, self._normalization, device)

    def _of_features(
        self, images: "_Images", backbone: nn.Module, device: torch.device
    ) -> Iterator[tuple[str, float]]:
        bench = Bench(self._normalization, device)
        if images.labelled is None:
            bank, _ = features_of(backbone, images.bank, bench)
        else:
            found = images.labelled.features(backbone, bench)
            bank = found.bank_features
            yield from _labelled_probes(found, self._recipe.evaluation)
        yield from rankme_probe(bank)
        yield from lidar_probe(backbone, images.views, self._normalization, device)

    def __getstate__(self) -> dict[str, Any]:
        """Without the open datasets, which stay where they were opened."""
        return self.__dict__ | {"_images": None}


@dataclass(frozen=True)
class _Images:
    """What the probes look at."""

    labelled: KnnSets | None
    bank: EvaluationImages
    views: TrainingViews
    few: EvaluationImages

    @classmethod
    def open(cls, recipe: Recipe) -> Self:
        config, image_px, bank = recipe.evaluation, recipe.evaluation_px, _bank(recipe)
        # A set keeps its images prepared if that pays; the file need not be kept beside it.
        uncached = ImageDataset.open(bank, cache_bytes=0)
        views = TrainingViews(uncached, recipe.data.views)
        few = EvaluationImages(uncached, image_px, ATTENTION_IMAGES)
        if config.queries is None:
            images = EvaluationImages(ImageDataset.open(bank), image_px, config.max_bank_images)
            return cls(None, images, views, few)
        sets = open_knn_sets(
            config.queries, bank, image_px, config.max_query_images, config.max_bank_images
        )
        return cls(sets, sets.bank, views, few)


def _bank(recipe: Recipe) -> str:
    return recipe.evaluation.bank or recipe.data.dataset


def _labelled_probes(found: KnnFeatures, config: EvaluationConfig) -> Iterator[tuple[str, float]]:
    sets = (found.bank_features, found.bank_labels, found.query_features, found.query_labels)
    num_classes, own_rows = found.num_classes, found.own_rows
    yield from knn_probe(*sets, num_classes, config.knn_k, config.knn_temperature, own_rows)
    yield from ridge_probe(*sets, num_classes, own_rows)
