"""Objectives: what a run learns from views, self-supervised or with labels (probes).

In: a ``ViewBatch``. Out: a loss, and updates that follow the optimiser. Next:
``poise.diagnostics``.
"""

from collections.abc import Callable

from poise.config.recipe import Recipe
from poise.data.views.photometry import Photometry
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
"""Every objective, by its name in recipes."""


def build_objective(recipe: Recipe, photometry: Photometry) -> Objective:
    """Builds the recipe's objective. Its new weights are drawn from torch's global generator."""
    return OBJECTIVES[recipe.objective.name](recipe, photometry)


__all__ = ["OBJECTIVES", "Objective", "Observation", "RunPosition", "StepResult", "build_objective"]
