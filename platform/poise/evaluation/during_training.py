"""Probes that run during training. Some need labels or masks, the others need only images.

In: a recipe. Out: an object that worker rank 0 receives and that turns the backbone into ``(name,
value)`` pairs. Next: the training loop calls the object at each evaluation and adds the prefix
``eval/`` to the names.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.metrics import DENSE, LABEL_FREE, LABELLED
from poise.config.recipe import Recipe
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest
from poise.data.views.normalization import normalization
from poise.evaluation.forgetting_baseline import StartAnswers
from poise.evaluation.label_free import TrainingViews, lidar_probe, rankme_probe
from poise.evaluation.last_answers import LastAnswers
from poise.evaluation.neighbours.knn import accuracies, knn_hits
from poise.evaluation.neighbours.ridge import ridge_probe
from poise.evaluation.neighbours.samples import BankAndQueries
from poise.evaluation.neighbours.sets import KnnSets, check_knn_sets, open_knn_sets
from poise.evaluation.reading.features import features_of
from poise.evaluation.reading.finite import NotFiniteError
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench, Normalization, no_progress
from poise.evaluation.segmentation.online import MaskedImages, dense_probe
from poise.evaluation.tokens.online import ATTENTION_IMAGES, attention_probe

_Asked = Callable[[Tensor], Iterator[tuple[str, float]]]
"""Function that computes metrics from bool [n]: whether k-NN classified each query correctly."""


def online_probes(
    recipe: Recipe, answers_file: Path | None = None, last_file: Path | None = None
) -> "OnlineProbes | None":
    """Makes the recipe's probes. Returns None if the recipe switches evaluation off.

    k-NN classifies each query image by its neighbours in the bank, a set of labelled images.

    Args:
        recipe: recipe of the run.
        answers_file: file in the run's folder for the k-NN answers of the trained model that the
            run starts from. Later answers are compared with these. None compares nothing.
        last_file: file in the run's folder for the k-NN answers of the latest evaluation. None
            stores nothing.

    Raises:
        PoiseError: a dataset does not exist, the queries or the bank have no labels, or the classes
            of queries and bank differ.
    """
    if recipe.evaluation.every_epochs is None:
        return None
    mean_and_std = normalization(recipe.data.views, Manifest.read(recipe.data.dataset))
    answers = None
    if answers_file is not None and recipe.evaluation.queries is not None:
        answers = StartAnswers(answers_file, _question_of(recipe))
    last = LastAnswers(last_file, _settings_of(recipe)) if last_file is not None else None
    return OnlineProbes(recipe, mean_and_std, answers, last)


class OnlineProbes:
    """Callable object that evaluates a backbone and yields metrics.

    The names in parentheses are the ids of the protocols. With labels it yields ``knn_top1`` and
    ``knn_top5`` (``knn/dino-v1``) and ``linear_top1`` (``ridge/poise-v1``), in percent. If bank and
    queries have masks, it yields ``dense_miou`` (``segmentation/patches-poise-v1``), in percent.

    Without labels it yields ``rankme`` (``rankme/poise-v1``), from the same features of the bank's
    images. It also yields ``lidar`` (``lidar/poise-v1``), from several views of some of these
    images. For a transformer it yields metrics of the attention of [cls]
    (``cls-attention/poise-v1``) on a few of these images. The docstring of each probe's function
    says how healthy and broken values look.

    The first call opens the datasets, in the process that calls. Small datasets stay in memory,
    decoded. Images are chosen with a fixed seed, so runs with different seeds are measured on the
    same images.
    """

    def __init__(
        self,
        recipe: Recipe,
        normalization: Normalization,
        answers: StartAnswers | None = None,
        last: LastAnswers | None = None,
    ) -> None:
        """Checks the datasets' manifests before training begins."""
        self._recipe = recipe
        self._normalization = normalization
        self._answers = answers
        self._last = last
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

    def __call__(
        self,
        backbone: nn.Module,
        device: torch.device,
        on_images: Callable[[int], None] = no_progress,
    ) -> Iterator[tuple[str, float]]:
        """Evaluates a backbone on a device, and leaves each module in its train or eval mode.

        If the backbone has diverged, each metric is NaN.

        Args:
            backbone: backbone on ``device``.
            device: device that computes.
            on_images: function that is called after each batch with its number of images.
        """
        asked = self._answers.compare if self._answers else None
        yield from self._measured(backbone, self._bench(device, on_images), asked)

    def at_start(
        self,
        backbone: nn.Module,
        device: torch.device,
        on_images: Callable[[int], None] = no_progress,
    ) -> Iterator[tuple[str, float]]:
        """Evaluates the trained backbone that a run starts from, and stores its k-NN answers."""
        asked = self._answers.keep if self._answers else None
        yield from self._measured(backbone, self._bench(device, on_images), asked)

    def _bench(self, device: torch.device, on_images: Callable[[int], None]) -> Bench:
        return Bench(self._normalization, device, on_images=on_images)

    def _measured(
        self, backbone: nn.Module, bench: Bench, asked: "_Asked | None"
    ) -> Iterator[tuple[str, float]]:
        self._images = self._images or _Images.open(self._recipe)
        try:
            yield from self._of_features(self._images, backbone, bench, asked)
        except NotFiniteError:  # a run that has diverged ends by its verdict, not by an error
            labelled = LABELLED if self._images.labelled is not None else ()
            dense = DENSE if self._images.masked is not None else ()
            for name in (*labelled, *LABEL_FREE, *dense):
                yield name.removeprefix("eval/"), math.nan
        yield from attention_probe(backbone, self._images.few, bench)

    def _of_features(
        self,
        images: "_Images",
        backbone: nn.Module,
        bench: Bench,
        asked: "_Asked | None",
    ) -> Iterator[tuple[str, float]]:
        if images.labelled is None:
            bank, _ = features_of(backbone, images.bank, bench)
        else:
            found = images.labelled.features(backbone, bench)
            bank = found.bank_features
            yield from self._of_labels(found, images.labelled, asked)
        if images.masked is not None:
            yield from dense_probe(backbone, *images.masked, bench)
        yield from rankme_probe(bank)
        yield from lidar_probe(backbone, images.views, bench)

    def _of_labels(
        self, found: BankAndQueries, sets: KnnSets, asked: "_Asked | None"
    ) -> Iterator[tuple[str, float]]:
        config = self._recipe.evaluation
        hits = knn_hits(found, config.knn_k, config.knn_temperature)
        yield from accuracies(hits, config.knn_k)
        if asked is not None:
            yield from asked(hits[:, 0])
        if self._last is not None:
            self._last.keep(hits[:, 0], sets)
        yield from ridge_probe(found)

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state without open datasets, because another process cannot use them."""
        return self.__dict__ | {"_images": None}


@dataclass(frozen=True)
class _Images:
    """Images that the probes during training evaluate, opened at the first evaluation only."""

    labelled: KnnSets | None
    bank: EvaluationImages
    views: TrainingViews
    few: EvaluationImages
    masked: tuple[MaskedImages, MaskedImages] | None = None
    """Bank and queries of the segmentation probe. It is None if one of these datasets has no masks,
    or if both are the same dataset.
    """

    @classmethod
    def open(cls, recipe: Recipe) -> Self:
        config, image_px, bank = recipe.evaluation, recipe.evaluation_px, _bank(recipe)
        # Prepared images stay in memory if they fit. So the encoded images need no cache.
        uncached = ImageDataset.open(bank, cache_bytes=0)
        views = TrainingViews(uncached, recipe.data.views)
        few = EvaluationImages(uncached, image_px, ATTENTION_IMAGES)
        if config.queries is None:
            images = EvaluationImages(ImageDataset.open(bank), image_px, config.max_bank_images)
            return cls(None, images, views, few)
        masked = [
            MaskedImages.of(ImageDataset.open(p, 0), image_px) for p in (bank, config.queries)
        ]
        sets = open_knn_sets(
            config.queries, bank, image_px, config.max_query_images, config.max_bank_images
        )
        # A classifier may not be scored on the images that it learned from.
        apart = not sets.shared
        both = (masked[0], masked[1]) if masked[0] and masked[1] and apart else None
        return cls(sets, sets.bank, views, few, both)


def _question_of(recipe: Recipe) -> str:
    """Returns a text that names the images and the settings of k-NN.

    Answers of two evaluations may be compared only if their texts are equal.
    """
    config = recipe.evaluation
    folders = [_bank(recipe), *([config.queries] if config.queries else [])]
    fingerprints = [Manifest.read(folder).fingerprint for folder in folders]
    settings = (config.knn_k, config.knn_temperature, recipe.evaluation_px)
    limits = (config.max_bank_images, config.max_query_images)
    return " ".join(map(str, (*settings, *limits, *fingerprints)))


def _settings_of(recipe: Recipe) -> str:
    """Returns the settings of k-NN as text. The images have a digest of their own."""
    return f"k={recipe.evaluation.knn_k} temperature={recipe.evaluation.knn_temperature} "


def _bank(recipe: Recipe) -> str:
    return recipe.evaluation.bank or recipe.data.dataset
