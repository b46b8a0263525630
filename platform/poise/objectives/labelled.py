"""Base class of objectives that learn labels with a trained backbone.

In: a recipe whose objective names a backbone's package. Out: ``LabelledObjective``, the base of
``poise.objectives.probe`` and ``poise.objectives.finetune``. Next: the same training loop.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.probes import LabelledSettings
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.draws import uniforms
from poise.data.manifest import Manifest
from poise.data.views.photometry import Photometry
from poise.models.package import load_backbone
from poise.objectives.base import Objective, Observation, RunPosition

_SPLIT = -3  # takes the place of a view in the addresses of random numbers
_FEWEST = 2  # smallest number of images in a step: a single image has no batch statistics


class LabelledObjective(Objective):
    """Objective that learns labels with a trained backbone, either frozen or trained further."""

    def __init__(self, recipe: Recipe, config: LabelledSettings):
        """Loads the backbone.

        Raises:
            PoiseError: the model is not a package, or the dataset has no labels.
        """
        super().__init__()
        manifest = Manifest.read(recipe.data.dataset)
        if not manifest.classes:
            raise PoiseError(
                f"{recipe.data.dataset}: has no labels to learn from; "
                "prepare it from a folder of class folders, or choose another dataset"
            )
        self.num_classes = len(manifest.classes)
        self.loaded, package = load_backbone(config.model)
        mean, std = package["normalization"]["mean"], package["normalization"]["std"]
        # The normalisation is the backbone's own and not this dataset's.
        self.photometry = Photometry(recipe.data.views, mean, std)
        self._features: Tensor | None = None

    @abstractmethod
    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Computes logits [B, G, C] of normalised images [B, 3, h, w], by feature."""

    @property
    def lr_multipliers(self) -> tuple[float, ...]:
        """Multiples of the base learning rate, one for each of the G heads."""
        return (1.0,)

    def taught(self, batch: ViewBatch, held_out: float = 0.0) -> tuple[Tensor, Tensor]:
        """Returns the normalised images of a batch that are used for learning, and their labels.

        Args:
            batch: batch with labels.
            held_out: share of images that are left out, from 0 to 1.

        Raises:
            PoiseError: the batch has no labels.
        """
        if batch.labels is None:
            raise PoiseError("a batch without labels teaches nothing; choose a labelled dataset")
        held = is_held_out(batch.sample_ids.cpu().numpy(), held_out)
        rows = (batch.labels >= 0) & torch.from_numpy(~held).to(batch.labels.device)
        views, parameters = batch.global_views[:, rows], batch.global_photometry[:, rows]
        return self.photometry(views, parameters)[0], batch.labels[rows]

    def observe(self) -> Observation:
        """Returns no tensors, because the features were observed when the backbone was trained."""
        return Observation()

    def schedules(self, position: RunPosition) -> dict[str, float]:
        """Returns no schedules. Only the optimiser has schedules."""
        return {}

    @property
    def backbone(self) -> nn.Module:
        """Loaded backbone."""
        return self.loaded


def is_held_out(sample_ids: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Returns for each training image whether it is held out to choose among heads; [n].

    Only the image's id decides; seed, epoch and worker do not matter.

    Args:
        sample_ids: row numbers in the dataset, [n].
        share: share of images that are held out, from 0 to 1.
    """
    chosen: NDArray[np.bool_] = uniforms(0, 0, sample_ids, _SPLIT, 1)[..., 0] < share
    return chosen


def too_few(labels: Tensor) -> bool:
    """Returns True if a batch has too few images to learn from. Then the step is skipped."""
    return len(labels) < _FEWEST


def nothing_learned(module: nn.Module) -> Tensor:
    """Makes a loss of 0 with zero gradients for every parameter.

    Other workers wait for these gradients.
    """
    return sum((p.sum() * 0 for p in module.parameters() if p.requires_grad), torch.zeros(()))


Groups = list[dict[str, Any]]
