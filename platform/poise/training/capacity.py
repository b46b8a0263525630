"""Whether a machine can carry a run, asked before Ray waits for it without a word.

In: a recipe, and the cluster that this process is connected to. Out: an error with the fix, or
nothing. Next: ``poise.training.worker``, and sweeps, which ask how many runs fit at once.
"""

import os

import ray

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe


def cpus_needed(recipe: Recipe) -> float:
    """CPUs that a run must have at once, or it waits for ever."""
    training = recipe.training
    cutting = 1 if recipe.data.placement == "cluster" else 0  # by tasks that claim a CPU each
    return training.num_workers * training.cpus_per_worker + cutting


def check_fits(recipe: Recipe) -> None:
    """Refuses a run that this machine could never start: Ray would wait without an error.

    On a cluster that others started (RAY_ADDRESS), nodes may come and go; there Ray sorts it out.

    Raises:
        PoiseError: the machine has too few CPUs.
    """
    needed, available = cpus_needed(recipe), ray.cluster_resources().get("CPU", 0)
    if not os.environ.get("RAY_ADDRESS") and needed > available:
        training = recipe.training
        cutting = " + 1 for data.placement=cluster" if recipe.data.placement == "cluster" else ""
        raise PoiseError(
            f"a run needs training.num_workers={training.num_workers} × training.cpus_per_worker="
            f"{training.cpus_per_worker:g}{cutting} CPUs and this machine has {available:g}; lower "
            "one of them, or set RAY_ADDRESS to a larger cluster"
        )
