"""Elastic runs: the number of workers may change, but a training step computes the same.

In: a recipe, and the number of workers that fit on the cluster. Out: the number of workers, the
recipe for this number, and a sentence for the user. Next: ``poise.training.worker_scaling``, which
chooses the number, and ``poise.training.on_worker``, which trains with it.

``docs/decisions/0021-elastic.md`` explains which numbers of workers are allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.config.recipe import Recipe

NODE_ID_CHARACTERS = 12
"""Number of leading characters of a node's id that are stored. They identify a node in its cluster.
"""


@dataclass(frozen=True)
class Attempt:
    """Part of a run that the same workers train without interruption."""

    step: int
    """Number of finished steps at the start of the attempt."""

    workers: int
    nodes: tuple[str, ...] = ()
    """Leading characters of the ids of all nodes that were running; empty without Ray Train."""


def is_elastic(recipe: Recipe) -> bool:
    """Returns True if the number of workers of the run may change."""
    return least_workers(recipe) < recipe.training.num_workers


def world_sizes(recipe: Recipe) -> tuple[int, ...]:
    """Returns the numbers of workers that the run may have, in ascending order.

    Each number divides the batch size, so that all workers have equal shares. So the global batch
    of a step does not depend on the number of workers (``poise.data.stream.plan``).
    """
    training = recipe.training
    least = training.min_workers or training.num_workers
    every = range(least, training.num_workers + 1)
    return tuple(number for number in every if training.batch_size % number == 0)


def least_workers(recipe: Recipe) -> int:
    """Returns the smallest number of workers that the run may have."""
    return world_sizes(recipe)[0]


def largest_world_size(sizes: Sequence[int], room: int) -> int:
    """Returns the largest allowed number of workers that fits; 0 if no allowed number fits.

    Args:
        sizes: numbers of workers that the run may have.
        room: number of workers that fit on the cluster.
    """
    return max((size for size in sizes if size <= room), default=0)


def with_workers(recipe: Recipe, num_workers: int) -> Recipe:
    """Returns the recipe for this number of workers.

    With fewer workers than ``training.num_workers``, each worker trains on more micro-batches. A
    micro-batch is never larger than with all workers. So no worker needs more memory.
    """
    training = recipe.training
    if num_workers == training.num_workers and training.min_workers is None:
        return recipe
    images = training.batch_size // num_workers
    part = next(n for n in range(recipe.micro_batch_size, 0, -1) if images % n == 0)
    changed = {"num_workers": num_workers, "min_workers": None, "micro_batch_size": part}
    return recipe.model_copy(update={"training": training.model_copy(update=changed)})


def begun(attempts: Sequence[Attempt], attempt: Attempt) -> list[Attempt]:
    """Adds an attempt to the earlier attempts.

    Earlier attempts without a finished step are removed.
    """
    return [*(before for before in attempts if before.step < attempt.step), attempt]


def attempt_sentence(recipe: Recipe, attempts: Sequence[Attempt]) -> str:
    """Describes with how many workers the run starts or continues, and why.

    Args:
        recipe: recipe of the run.
        attempts: attempts of the run so far. The sentence is about the last attempt.
    """
    now, most = attempts[-1], recipe.training.num_workers
    workers = f"{now.workers} of {most} workers"
    if len(attempts) == 1:
        return f"starts with {workers}"
    return f"continues with {workers} from step {now.step}: {_reason(attempts[-2], now)}"


def _reason(before: Attempt, now: Attempt) -> str:
    gone = len(set(before.nodes) - set(now.nodes))
    joined = len(set(now.nodes) - set(before.nodes))
    if now.workers > before.workers:
        return _nodes(joined, "has joined", "have joined") if joined else "there is room again"
    if gone:
        return _nodes(gone, "is gone", "are gone")
    return "a worker was lost" if now.workers == before.workers else "there is less room"


def _nodes(number: int, of_one: str, of_many: str) -> str:
    return f"one node {of_one}" if number == 1 else f"{number} nodes {of_many}"


def worker_settings(text: str) -> list[str]:
    """Converts a number of workers (``4``) or a range (``2-8``) to settings of a recipe.

    Raises:
        PoiseError: the text is neither a number nor a range.
    """
    least, dash, most = text.partition("-")
    if not least.isdecimal() or (dash and not most.isdecimal()):
        raise PoiseError(f"--workers {text}: write a number (4) or a range (2-8)")
    smallest = least if dash else "null"
    return [f"training.num_workers={most or least}", f"training.min_workers={smallest}"]
