"""Linear and attentive probes: classifiers on a frozen backbone's features.

Shapes: B images that are used for learning, G learning rates, C classes.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from poise.config.probes import ProbeConfig
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.views.photometry import Photometry
from poise.models.heads.abmilp import Abmilp
from poise.models.heads.grid import HeadGrid, ProbeHeads
from poise.models.readout import Readout
from poise.objectives.base import RunPosition, StepResult
from poise.objectives.labelled import Groups, LabelledObjective, nothing_learned, too_few


class Probe(LabelledObjective):
    """Grid of heads for each of several features. One pass of the backbone computes all features.

    The loss is the sum over heads, so each head learns the same as it would alone.
    """

    def __init__(self, recipe: Recipe, photometry: Photometry):
        """Draws the heads. The backbone's own photometry replaces the recipe's.

        Raises:
            PoiseError: see ``Readout`` and ``LabelledObjective``.
        """
        self.config: ProbeConfig = recipe.objective  # type: ignore[assignment]
        super().__init__(recipe, self.config)
        self.loaded.requires_grad_(False).eval()
        image_px = recipe.data.views.global_px
        self.readout = Readout(self.loaded, self.config.features, image_px)
        self.heads = build_heads(self.readout, self.config, self.num_classes, image_px)

    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Computes the loss on one batch of uint8 views.

        It is divided by the expected number of images that are used for learning, which is the same
        on every worker.
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
        """Computes logits [B, G, C], by the name of the feature."""
        logits: dict[str, Tensor] = self.heads(self.readout(images))
        return logits

    def parameter_groups(self) -> Groups:
        """Makes one group for each learning rate of the grid."""
        return grid_groups(self.heads, self.config.lr_multipliers)

    @property
    def lr_multipliers(self) -> tuple[float, ...]:
        """Multiples of the base learning rate, which form the grid."""
        return self.config.lr_multipliers

    def train(self, mode: bool = True) -> "Probe":
        """Switches only the heads. The frozen backbone stays in evaluation mode."""
        super().train(mode)
        self.loaded.eval()
        return self

    @property
    def trainable(self) -> nn.Module:
        """Heads."""
        return self.heads


def build_heads(
    readout: Readout, config: ProbeConfig, num_classes: int, image_px: int
) -> ProbeHeads:
    """Builds one grid of heads for every feature."""
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
        scores: logits [B, G, C], by the name of the feature.
        labels: int64 [B].
    """
    total = labels.new_zeros((), dtype=next(iter(scores.values())).dtype)
    for logits in scores.values():
        repeated = labels.repeat_interleave(logits.shape[1])
        summed = F.cross_entropy(logits.flatten(0, 1).float(), repeated, reduction="sum")
        total = total + summed / len(labels)
    return total


def grid_groups(heads: ProbeHeads, multipliers: Sequence[float]) -> Groups:
    """Makes the optimiser's groups, one for each head and feature."""
    return [
        {"params": grid.members(head), "is_decayed": True, "lr_scale": multiplier}  # type: ignore[operator]
        for grid in heads.grids.values()
        for head, multiplier in enumerate(multipliers)
    ]
