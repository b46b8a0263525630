"""Checks that a run is resumed with the same order of samples that it began with.

In: a recipe, and the order that is stored in a checkpoint. Out: an error with the fix, or nothing.
Next: ``poise.training.checkpoint``.

In another order, the rest of an epoch would repeat some samples and miss others.
"""

from poise.config import PoiseError, Recipe
from poise.data.dataset import ImageDataset
from poise.data.stream.plan import Plan


def sample_order(recipe: Recipe) -> str:
    """Returns a description of the order in which a run of the recipe reads its samples."""
    return _plan(recipe).described


def check_same_order(what: str, known: str | None, recipe: Recipe) -> None:
    """Raises an error if a run would continue in another order.

    Args:
        what: the checkpoint, for messages.
        known: order that is stored in the checkpoint. Old checkpoints contain no order; their order
            is that of a single stream of samples (lane).
        recipe: recipe to continue with.

    Raises:
        PoiseError: the orders differ; the message explains how to finish the run.
    """
    plan = _plan(recipe)
    if known is None and plan.num_lanes > 1:
        raise PoiseError(
            f"{what}: an older version of Poise read the images of {recipe.data.dataset} in "
            "another order; finish the run with that version, or start a run of another name"
        )
    if known is not None and known != plan.described:
        raise PoiseError(
            f"{what}: the images of {recipe.data.dataset} were read in another order ({known} "
            f"then, {plan.described} now); finish the run with the version of Poise and the "
            "dataset files that it began with, or start a run of another name"
        )


def _plan(recipe: Recipe) -> Plan:
    patience_s = recipe.training.storage_patience_s
    return Plan.of(recipe, ImageDataset.open(recipe.data.dataset, patience_s=patience_s))
