"""Base class of objectives that train on labels, from a trained backbone.

In: a recipe whose objective names the package of a trained backbone. Out: ``LabelledObjective``,
the base class of ``poise.objectives.probe`` and ``poise.objectives.finetune``. Next:
``poise.training.loop``.
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
from poise.data.counter_random import uniforms
from poise.data.manifest import Manifest
from poise.data.views.color_augmentation import Photometry
from poise.models.package import load_backbone
from poise.objectives.base import Objective, Observation, RunPosition

_SPLIT = -3  # takes the place of a view in the addresses of random numbers
_FEWEST = 2  # smallest number of images in a step: a single image has no batch statistics


class LabelledObjective(Objective):
    """Objective that trains on labels.

    The backbone is trained already; it is frozen or fine-tuned.
    """

    def __init__(self, recipe: Recipe, config: LabelledSettings):
        """Loads the trained backbone.

        Raises:
            PoiseError: the model is not a package of a backbone, or the dataset has no labels.
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
        # Images are normalised with the backbone's statistics, not with those of this dataset.
        self.photometry = Photometry(recipe.data.views, mean, std)
        self._features: Tensor | None = None

    @abstractmethod
    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Computes logits [B, G, C] of normalised images, as a dict from names of features.

        The images have the shape [B, 3, h, w].
        """

    @property
    def lr_multipliers(self) -> tuple[float, ...]:
        """Factors by which the base learning rate is multiplied, one for each of the G heads."""
        return (1.0,)

    def taught(self, batch: ViewBatch, held_out: float = 0.0) -> tuple[Tensor, Tensor]:
        """Returns a batch's training images, normalised, and their labels.

        Args:
            batch: batch with labels.
            held_out: share of images that are not used for training, from 0 to 1.

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
        """Returns no tensors, because diagnostics are computed only during pretraining."""
        return Observation()

    def schedules(self, position: RunPosition) -> dict[str, float]:
        """Returns an empty dict. Only learning rate and weight decay have schedules here."""
        return {}

    @property
    def backbone(self) -> nn.Module:
        """Trained backbone, as loaded from its package."""
        return self.loaded


def is_held_out(sample_ids: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Returns a mask [n] of the training images that are held out to choose the best head.

    An image's id alone decides. Seed, epoch and worker have no influence.

    Args:
        sample_ids: row numbers in the dataset, [n].
        share: share of images that are held out, from 0 to 1.
    """
    chosen: NDArray[np.bool_] = uniforms(0, 0, sample_ids, _SPLIT, 1)[..., 0] < share
    return chosen


def too_few(labels: Tensor) -> bool:
    """Returns True if a batch has too few images for a training step. The caller skips the step."""
    return len(labels) < _FEWEST


def nothing_learned(module: nn.Module) -> Tensor:
    """Makes a loss of 0, whose gradient is zero for every parameter.

    A skipped step still needs gradients, because other workers wait for them.
    """
    return sum((p.sum() * 0 for p in module.parameters() if p.requires_grad), torch.zeros(()))


Groups = list[dict[str, Any]]
