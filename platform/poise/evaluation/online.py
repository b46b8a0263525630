"""The probes that watch training: k-NN, a linear one in closed form, and two without labels.

In: a recipe. Out: an object that travels to the first training worker and turns the backbone into
``(name, value)`` pairs. Next: the training loop, which calls it at evaluations and adds the
prefix ``eval/``.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest
from poise.data.photometry import normalization
from poise.evaluation.knn import knn_probe
from poise.evaluation.label_free import TrainingViews, lidar_probe, rankme_probe
from poise.evaluation.passes import Normalization
from poise.evaluation.ridge import ridge_probe
from poise.evaluation.sets import KnnSets, check_knn_sets, open_knn_sets


def online_probes(recipe: Recipe) -> "OnlineProbes | None":
    """The recipe's probes, or none where it names no queries.

    Raises:
        PoiseError: a dataset is not there, has no labels, or the classes of the two differ.
    """
    if recipe.evaluation.queries is None:
        return None
    mean_and_std = normalization(recipe.data.views, Manifest.read(recipe.data.dataset))
    return OnlineProbes(recipe, recipe.evaluation.queries, mean_and_std)


class OnlineProbes:
    """Called with a backbone and its device, yields figures of it.

    In percent: ``knn_top1`` and ``knn_top5`` (``knn/dino-v1``), ``linear_top1``
    (``ridge/poise-v1``). Without labels: ``rankme`` (``rankme/poise-v1``), which shares one pass
    over the images with them, and ``lidar`` (``lidar/poise-v1``) of views of the bank's images.

    The datasets are opened at the first call, where it happens; small ones stay in memory,
    decoded, for the next. Choosing the images has a seed of its own, so that runs of different
    seeds are measured on the same images.
    """

    def __init__(self, recipe: Recipe, queries: str, normalization: Normalization) -> None:
        """Checks both datasets' manifests, so that a mistake shows before training begins."""
        self._recipe = recipe
        self._queries = queries
        self._bank = recipe.evaluation.bank or recipe.data.dataset
        self._normalization = normalization
        self._opened: tuple[KnnSets, TrainingViews] | None = None
        try:
            check_knn_sets(self._queries, self._bank)
        except PoiseError as error:
            raise PoiseError(
                f"evaluation.queries: {error}; evaluation.queries=null trains without probes"
            ) from None

    def __call__(self, backbone: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """Evaluates; the backbone gets its modes back."""
        self._opened = self._opened or self._open()
        sets, views = self._opened
        found = sets.features(backbone, self._normalization, device)
        config = self._recipe.evaluation
        yield from knn_probe(
            found.bank_features,
            found.bank_labels,
            found.query_features,
            found.query_labels,
            found.num_classes,
            config.knn_k,
            config.knn_temperature,
            found.own_rows,
        )
        yield from ridge_probe(
            found.bank_features,
            found.bank_labels,
            found.query_features,
            found.query_labels,
            found.num_classes,
            found.own_rows,
        )
        yield from rankme_probe(found.bank_features)
        yield from lidar_probe(backbone, views, self._normalization, device)

    def _open(self) -> tuple[KnnSets, TrainingViews]:
        config = self._recipe.evaluation
        sets = open_knn_sets(
            self._queries,
            self._bank,
            self._recipe.evaluation_px,
            config.max_query_images,
            config.max_bank_images,
        )
        dataset = ImageDataset.open(self._bank, cache_bytes=0)
        return sets, TrainingViews(dataset, self._recipe.data.views)

    def __getstate__(self) -> dict[str, Any]:
        """Without the open datasets, which stay where they were opened."""
        return self.__dict__ | {"_opened": None}
