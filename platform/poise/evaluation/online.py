"""The probes that watch training: k-NN, and a linear one in closed form.

In: a recipe. Out: an object that travels to the first training worker and turns the backbone into
``(name, value)`` pairs. Next: the training loop, which calls it at evaluations and adds the
prefix ``eval/``.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from poise.config.errors import PoiseError
from poise.config.recipe import EvaluationConfig, Recipe
from poise.data.manifest import Manifest
from poise.data.photometry import normalization
from poise.evaluation.knn import knn_probe
from poise.evaluation.passes import Normalization
from poise.evaluation.ridge import ridge_probe
from poise.evaluation.sets import KnnSets, check_knn_sets, open_knn_sets


def online_probes(recipe: Recipe) -> "OnlineProbes | None":
    """The recipe's probes, or none where it names no queries.

    Raises:
        PoiseError: a dataset is not there, has no labels, or the classes of the two differ.
    """
    config = recipe.evaluation
    if config.queries is None:
        return None
    mean_and_std = normalization(recipe.data.views, Manifest.read(recipe.data.dataset))
    bank = config.bank or recipe.data.dataset
    return OnlineProbes(config, config.queries, bank, recipe.evaluation_px, mean_and_std)


class OnlineProbes:
    """Called with a backbone and its device, yields accuracies in percent.

    ``knn_top1`` and ``knn_top5`` (``knn/dino-v1``) and ``linear_top1`` (``ridge/poise-v1``) share
    one pass over the images.

    The datasets are opened at the first call, where it happens; small ones stay in memory,
    decoded, for the next. Choosing the images has a seed of its own, so that runs of different
    seeds are measured on the same images.
    """

    def __init__(
        self,
        config: EvaluationConfig,
        queries: str,
        bank: str,
        image_px: int,
        normalization: Normalization,
    ) -> None:
        """Checks both datasets' manifests, so that a mistake shows before training begins."""
        try:
            check_knn_sets(queries, bank)
        except PoiseError as error:
            raise PoiseError(
                f"evaluation.queries: {error}; evaluation.queries=null trains without probes"
            ) from None
        self._config = config
        self._queries = queries
        self._bank = bank
        self._image_px = image_px
        self._normalization = normalization
        self._sets: KnnSets | None = None

    def __call__(self, backbone: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """Evaluates; the backbone gets its modes back."""
        if self._sets is None:
            self._sets = open_knn_sets(
                self._queries,
                self._bank,
                self._image_px,
                self._config.max_query_images,
                self._config.max_bank_images,
            )
        found = self._sets.features(backbone, self._normalization, device)
        yield from knn_probe(
            found.bank_features,
            found.bank_labels,
            found.query_features,
            found.query_labels,
            found.num_classes,
            self._config.knn_k,
            self._config.knn_temperature,
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

    def __getstate__(self) -> dict[str, Any]:
        """Without the open datasets, which stay where they were opened."""
        return self.__dict__ | {"_sets": None}
