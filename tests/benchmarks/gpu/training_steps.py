"""Training steps: the published one, and ours in four ways."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from poise.models.activation_checkpointing import checkpoint_activations
from poise.objectives.base import Objective
from tests.benchmarks.bench_dino_step import check_same, our_steps
from tests.benchmarks.gpu.measuring import measure
from tests.benchmarks.gpu.output import Place, attempt, tell
from tests.benchmarks.gpu.workloads import Size, Workload

_LARGER = 4


@dataclass(frozen=True)
class Side:
    """One kind of step."""

    name: str
    size: Size
    make_steps: Callable[[], Iterator[object]]
    is_compiled: bool = False


def measure_training_steps(place: Place, workload: Workload) -> None:
    """Tells the figures of every kind of step of a workload.

    Both sides must report the same losses. If they do not, this is told as a failure.
    """
    precision, size = place.precision, workload.size
    recipe = size.recipe(precision)
    tell("recipe", part=workload.title, settings=settings_of(recipe))
    published = partial(workload.published, size, precision, place.device)
    attempt(
        f"{workload.title}, equal losses",
        lambda: check_same(our_steps(recipe, place.device, True), published(), precision),
    )
    if place.tiny:
        torch.compiler.set_stance("force_eager")  # a compiler would take minutes on a CPU
    for side in _sides(place, workload, published):
        attempt(f"{workload.title}, {side.name}", partial(_measure_side, place, workload, side))


def settings_of(model: Any) -> dict[str, Any]:
    """Returns all settings of a recipe as nested dicts, with or without pydantic."""
    values = {name: getattr(model, name) for name in type(model).model_fields}
    return {
        name: settings_of(value) if hasattr(type(value), "model_fields") else value
        for name, value in values.items()
    }


def _sides(
    place: Place, workload: Workload, published: Callable[[], Iterator[object]]
) -> Iterator[Side]:
    size, larger = workload.size, workload.enlarged(_LARGER)

    def ours(size: Size, *prepare: Callable[[Objective], Any]) -> Callable[[], Iterator[object]]:
        return partial(our_steps, size.recipe(place.precision), place.device, False, *prepare)

    yield Side("published", size, published)
    yield Side("ours", size, ours(size))
    yield Side(
        "ours, activations recomputed",
        size,
        ours(size, lambda each: checkpoint_activations(each.trainable)),
    )
    yield Side("ours, compiled", size, ours(size, lambda each: each.compile_backbones()), True)
    yield Side("ours, compiled", larger, ours(larger, lambda each: each.compile_backbones()), True)


def _measure_side(place: Place, workload: Workload, side: Side) -> None:
    measured = measure(
        side.make_steps, place.device, place.pace, counts_operations=not side.is_compiled
    )
    tell(
        "step",
        part=workload.title,
        side=side.name,
        images=side.size.batch_size,
        model_flops=side.size.matmul_flops(),
        **asdict(measured),
    )
