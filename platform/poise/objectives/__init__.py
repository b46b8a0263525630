"""What is learned from views: without labels, or, by probes, with them.

In: a ``ViewBatch``. Out: a loss to differentiate, and what follows the optimiser. Next:
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
"""Every objective by the name that recipes give it."""


def build_objective(recipe: Recipe, photometry: Photometry) -> Objective:
    """The recipe's objective, freshly initialised from the global random state."""
    return OBJECTIVES[recipe.objective.name](recipe, photometry)


__all__ = ["OBJECTIVES", "Objective", "Observation", "RunPosition", "StepResult", "build_objective"]
