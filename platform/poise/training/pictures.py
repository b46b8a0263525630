"""Pictures of a model's outputs for a few fixed images during training.

In: the recipe and its objective. Out: a dict of RGB pictures. Next: the run's observers, which
store the pictures.
"""

import numpy as np
import torch
from torch import Tensor

from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.dataset import ImageDataset
from poise.data.views.cutter import ViewCutter
from poise.objectives.base import Objective

_IMAGES = 8  # evenly spaced in the dataset, which may be sorted by class


class Showcase:
    """Fixed views of a few images. Pictures of different steps show the same views."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self._recipe, self._device = recipe, device
        self._batch: ViewBatch | None = None

    def pictures(self, objective: Objective) -> dict[str, Tensor]:
        """Draws the objective's pictures of these views.

        The result maps the name of each picture to uint8 [3, h, w].
        """
        if self._batch is None:
            self._batch = self._cut().to(self._device)
        shown = objective.pictures(self._batch)
        return {name: picture.cpu() for name, picture in shown.items()}

    def _cut(self) -> ViewBatch:
        """Cuts the views of the fixed images, with the random numbers of epoch 0."""
        dataset = ImageDataset.open(self._recipe.data.dataset)
        count = min(_IMAGES, len(dataset))
        sample_ids = np.linspace(0, len(dataset) - 1, count).astype(np.int64)
        cutter = ViewCutter(self._recipe.data.views, self._recipe.seed)
        return cutter(dataset.read(sample_ids), epoch=0)
