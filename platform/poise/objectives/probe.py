"""Linear and attentive probes: classifiers on a frozen backbone's features.

Shapes: B training images (not held out), G learning rates, C classes.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from poise.config.probes import ProbeConfig
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.views.color_augmentation import Photometry
from poise.models.heads.abmilp import Abmilp
from poise.models.heads.grid import HeadGrid, ProbeHeads
from poise.models.readout import Readout
from poise.objectives.base import RunPosition, StepResult
from poise.objectives.labelled import Groups, LabelledObjective, nothing_learned, too_few


class Probe(LabelledObjective):
    """Probes of several features, with one head per feature and learning rate.

    One pass of the frozen backbone computes all features. The loss is the sum over heads, so each
    head learns the same as it would alone.
    """

    def __init__(self, recipe: Recipe, photometry: Photometry):
        """Loads the backbone and initialises the heads.

        Images are normalised as the backbone's package says. The argument ``photometry`` is not
        used.

        Raises:
            PoiseError: as ``Readout`` and ``LabelledObjective``.
        """
        self.config: ProbeConfig = recipe.objective  # type: ignore[assignment]
        super().__init__(recipe, self.config)
        self.loaded.requires_grad_(False).eval()
        image_px = recipe.data.views.global_px
        self.readout = Readout(self.loaded, self.config.features, image_px)
        self.heads = build_heads(self.readout, self.config, self.num_classes, image_px)

    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Computes the loss on one batch of uint8 views.

        The summed loss is divided by the expected number of training images. This number is the
        same on every worker.
        """
        images, labels = self.taught(batch, self.config.held_out)
        if too_few(labels):
            loss = nothing_learned(self.heads)
        else:
            expected = len(batch) * (1 - self.config.held_out)
            loss = grid_loss(self.scores(images), labels) * len(labels) / expected
        num_heads = len(self.config.features) * len(self.config.lr_multipliers)
        return StepResult(loss, {"loss/per_head": loss.detach() / num_heads})

    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Computes logits [B, G, C] for each feature, as a dict from names of features."""
        logits: dict[str, Tensor] = self.heads(self.readout(images))
        return logits

    def parameter_groups(self) -> Groups:
        """Makes one group for each feature and learning rate."""
        return grid_groups(self.heads, self.config.lr_multipliers)

    @property
    def lr_multipliers(self) -> tuple[float, ...]:
        """Factors by which the base learning rate is multiplied, one for each head of a feature."""
        return self.config.lr_multipliers

    def train(self, mode: bool = True) -> "Probe":
        """Sets the heads to training or evaluation mode.

        The frozen backbone always stays in evaluation mode.
        """
        super().train(mode)
        self.loaded.eval()
        return self

    @property
    def trainable(self) -> nn.Module:
        """All linear classifiers of the probe, which the optimiser updates."""
        return self.heads


def build_heads(
    readout: Readout, config: ProbeConfig, num_classes: int, image_px: int
) -> ProbeHeads:
    """Builds the heads: for every feature, one head per learning rate."""
    grids = {}
    for name in readout.names:
        pool = None
        if name == "abmilp":
            side = image_px // int(readout.backbone.patch_px)  # type: ignore[arg-type]
            prefix = int(readout.backbone.num_prefix_tokens)  # type: ignore[arg-type]
            pool = Abmilp(readout.dim(name), (side, side), prefix, config.abmilp)
        num_heads = len(config.lr_multipliers)
        grids[name] = HeadGrid(
            readout.dim(name), num_classes, num_heads, config.weight_std, config.batch_norm, pool
        )
    return ProbeHeads(grids)


def grid_loss(scores: dict[str, Tensor], labels: Tensor) -> Tensor:
    """Sums the mean cross-entropy over all heads.

    Args:
        scores: dict from names of features to logits [B, G, C].
        labels: int64 [B].
    """
    total = labels.new_zeros((), dtype=next(iter(scores.values())).dtype)
    for logits in scores.values():
        repeated = labels.repeat_interleave(logits.shape[1])
        summed = F.cross_entropy(logits.flatten(0, 1).float(), repeated, reduction="sum")
        total = total + summed / len(labels)
    return total


def grid_groups(heads: ProbeHeads, multipliers: Sequence[float]) -> Groups:
    """Makes one group of the optimiser for each feature and head."""
    return [
        {"params": grid.members(head), "is_decayed": True, "lr_scale": multiplier}  # type: ignore[operator]
        for grid in heads.grids.values()
        for head, multiplier in enumerate(multipliers)
    ]
