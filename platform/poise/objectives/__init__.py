"""Objectives: the losses that a run trains with, self-supervised or on labels.

In: a ``ViewBatch``. Out: a loss, and updates after the optimiser's step. Next:
``poise.diagnostics``.
"""

from collections.abc import Callable

from poise.config.recipe import Recipe
from poise.data.views.color_augmentation import Photometry
from poise.objectives.base import Objective, Observation, RunPosition, StepResult
from poise.objectives.dino import Dino
from poise.objectives.finetune import Finetune
from poise.objectives.mae import Mae
from poise.objectives.probe import Probe

OBJECTIVES: dict[str, Callable[[Recipe, Photometry], Objective]] = {
    "dino": Dino,
    "mae": Mae,
    "probe": Probe,
    "finetune": Finetune,
}
"""Maps the name of each objective in recipes to its class."""


def build_objective(recipe: Recipe, photometry: Photometry) -> Objective:
    """Builds the recipe's objective. Torch's global generator draws the new weights."""
    return OBJECTIVES[recipe.objective.name](recipe, photometry)


__all__ = ["OBJECTIVES", "Objective", "Observation", "RunPosition", "StepResult", "build_objective"]
