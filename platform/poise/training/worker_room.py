"""Counts the workers that fit on the nodes of a cluster.

In: a recipe, and the connected Ray cluster. Out: a number of workers, or a sentence about it. Next:
the command line, which prints with how many workers a run would start.
"""

from poise.cluster.nodes import live_nodes
from poise.config.recipe import Recipe
from poise.training.capacity import uses_gpu
from poise.training.elastic import largest_world_size, world_sizes


def worker_resources(recipe: Recipe, use_gpu: bool) -> dict[str, float]:
    """Returns the resources of one worker for Ray, such as ``{"CPU": 12.0, "GPU": 1.0}``."""
    return {"CPU": recipe.training.cpus_per_worker, **({"GPU": 1.0} if use_gpu else {})}


def room_for_workers(recipe: Recipe) -> int:
    """Returns the number of workers that fit on the cluster's nodes.

    The recipe may not allow this number. Resources that other runs occupy are counted as free.
    """
    worker = worker_resources(recipe, uses_gpu(recipe))
    nodes = [node.resources for node in live_nodes()]
    return sum(int(min(node.get(name, 0) // worker[name] for name in worker)) for node in nodes)


def start_in_words(recipe: Recipe) -> str:
    """Describes the number of workers with which the run would start on this cluster now."""
    room, sizes = room_for_workers(recipe), world_sizes(recipe)
    size, training = largest_world_size(sizes, room), recipe.training
    gpu = " and 1 GPU" if uses_gpu(recipe) else ""
    there = f"room for {room} of {training.cpus_per_worker:g} CPUs{gpu} each"
    allowed = ", ".join(map(str, sizes))
    if not size:
        return f"waits until there is room for {sizes[0]} workers (now {there}; allowed: {allowed})"
    return f"starts with {size} of {training.num_workers} workers ({there}; allowed: {allowed})"
