"""What runs log is what the configuration says that they log."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
import torch

from poise.config import Recipe
from poise.config.metrics import COST, EVALUATION, PATCHES, REGISTERS
from poise.data.batch import ViewBatch
from poise.data.views.color_augmentation import Photometry
from poise.objectives import build_objective
from poise.training.loop import TrainingState, train_steps
from poise.training.optimizer import build_optimizer
from poise.training.schedule import Timetable
from tests.builders import random_batch, tiny_masked_recipe, tiny_recipe


def logged(recipe: Recipe) -> set[str]:
    """The names at the second boundary, without settings and the points of the spectrum."""
    torch.manual_seed(recipe.seed)
    objective = build_objective(recipe, Photometry(recipe.data.views, (0.5,) * 3, (0.25,) * 3))
    state = TrainingState(objective, build_optimizer(recipe.optimizer, objective.trainable))

    def batches() -> Iterator[ViewBatch]:
        while True:
            yield random_batch(recipe)

    timetable = Timetable(recipe, steps_per_epoch=4)
    _, *_, last = islice(train_steps(timetable, state, batches()), 2)
    metrics = last.metrics
    beside = ("schedule/", "features/spectrum_")
    assert any(name.startswith("features/spectrum_") for name in metrics)
    return {name for name in metrics if not name.startswith(beside)}


def promised(recipe: Recipe) -> set[str]:
    return {*recipe.signals.metrics(recipe.data.views)} - {*EVALUATION}


@pytest.mark.parametrize(
    ("build", "changes"),
    [
        (tiny_recipe, {}),
        (tiny_recipe, {"data__views__local_count": 0}),
        (tiny_recipe, {"data__views__global_count": 1}),
        (tiny_masked_recipe, {}),
    ],
    ids=["dino", "dino without local views", "dino with one global view", "mae"],
)
def test_a_run_logs_exactly_the_names_that_trials_may_be_compared_by(
    build: Callable[..., Recipe], changes: dict[str, Any]
) -> None:
    recipe = build(**changes)
    assert logged(recipe) == promised(recipe) - {*REGISTERS}


@pytest.mark.parametrize("build", [tiny_recipe, tiny_masked_recipe], ids=["dino", "mae"])
def test_registers_are_told_of_where_there_are_some(build: Callable[..., Recipe]) -> None:
    recipe = build(backbone__num_registers=2)
    assert logged(recipe) == promised(recipe)


@pytest.mark.slow
def test_a_residual_network_logs_all_but_patches() -> None:
    recipe = tiny_recipe(backbone={"name": "resnet18", "drop_path": 0})
    assert logged(recipe) == promised(recipe) - {*PATCHES, *REGISTERS, *COST}
