"""DINO's moving parts, one by one. The numbers of the whole are in tests/parity."""

import math

import pytest
import torch

from poise.config import Recipe
from poise.data.views.color_augmentation import Photometry
from poise.objectives import build_objective
from poise.objectives.base import Objective, RunPosition
from poise.objectives.dino import Dino
from poise.training.optimizer import build_optimizer, set_schedules
from tests.builders import random_batch, tiny_recipe


def build(recipe: Recipe) -> Dino:
    torch.manual_seed(0)
    objective = build_objective(recipe, Photometry(recipe.data.views, (0.5,) * 3, (0.25,) * 3))
    assert isinstance(objective, Dino)
    return objective


def at(step: int, steps_per_epoch: int = 10) -> RunPosition:
    return RunPosition(step, steps_per_epoch, total_steps=10 * steps_per_epoch)


def take_step(objective: Objective, recipe: Recipe, step: int = 0) -> float:
    optimizer = build_optimizer(recipe.optimizer, objective.trainable)
    set_schedules(optimizer, {"schedule/lr": 0.01, "schedule/weight_decay": 0.1})
    result = objective(random_batch(recipe, seed=step), at(step))
    result.loss.backward()
    objective.before_optimizer(at(step))
    optimizer.step()
    objective.after_step(at(step))
    return float(result.loss.detach())


def test_the_teacher_begins_as_the_student_and_gets_no_gradient() -> None:
    recipe = tiny_recipe()
    objective = build(recipe)
    for ours, theirs in zip(
        objective.student.parameters(), objective.teacher.parameters(), strict=True
    ):
        assert ours is not theirs
        assert torch.equal(ours, theirs)
    objective(random_batch(recipe), at(0)).loss.backward()
    assert all(parameter.grad is None for parameter in objective.teacher.parameters())
    trained = [p for p in objective.student.parameters() if p.requires_grad]
    assert all(parameter.grad is not None for parameter in trained)


def test_the_teacher_moves_by_the_momentum_of_the_step() -> None:
    recipe = tiny_recipe(objective__teacher_momentum=0.9, objective__final_teacher_momentum=0.9)
    objective = build(recipe)
    before = [p.clone() for p in objective.teacher.parameters()]
    take_step(objective, recipe)
    moved = zip(before, objective.teacher.parameters(), objective.student.parameters(), strict=True)
    for old, new, student in moved:
        torch.testing.assert_close(new, 0.9 * old + 0.1 * student)


def test_at_momentum_zero_the_teacher_is_a_copy_of_the_student() -> None:
    recipe = tiny_recipe(objective__teacher_momentum=0, objective__final_teacher_momentum=0)
    objective = build(recipe)
    take_step(objective, recipe)
    for ours, theirs in zip(
        objective.student.parameters(), objective.teacher.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_center_lags_a_step_and_follows_raw_teacher_logits() -> None:
    recipe = tiny_recipe(objective__center_momentum=0.75)
    objective = build(recipe)
    batch = random_batch(recipe)
    objective(batch, at(0))
    assert torch.count_nonzero(objective.center) == 0
    with torch.no_grad():
        views = objective.photometry(batch.global_views, batch.global_photometry)
        logits = objective.teacher(views).flatten(0, 1)
    objective.after_step(at(0))
    torch.testing.assert_close(objective.center, 0.25 * logits.mean(dim=0))


def test_a_center_momentum_of_one_is_no_centering() -> None:
    recipe = tiny_recipe(objective__center_momentum=1.0)
    objective = build(recipe)
    take_step(objective, recipe)
    assert torch.count_nonzero(objective.center) == 0


def test_frozen_prototypes_feel_neither_gradient_nor_weight_decay() -> None:
    recipe = tiny_recipe(objective__freeze_last_layer_epochs=1)
    objective = build(recipe)
    prototypes = objective.student.head.last_layer.weight_v
    before = prototypes.detach().clone()
    take_step(objective, recipe, step=9)
    assert torch.equal(prototypes, before)
    take_step(objective, recipe, step=10)
    assert not torch.equal(prototypes, before)


def test_unnormalised_prototypes_train_their_norms() -> None:
    free = build(tiny_recipe(objective__head__normalize_last_layer=False))
    held = build(tiny_recipe())
    assert free.student.head.last_layer.weight_g.requires_grad
    assert not held.student.head.last_layer.weight_g.requires_grad


def test_identical_logits_everywhere_cost_ln_k() -> None:
    recipe = tiny_recipe()
    objective = build(recipe)
    for encoder in (objective.student, objective.teacher):
        torch.nn.init.ones_(encoder.head.last_layer.weight_v)
    result = objective(random_batch(recipe), at(0))
    assert result.loss.item() == pytest.approx(math.log(32), rel=1e-6)
    assert result.metrics["loss/over_ln_k"].item() == pytest.approx(1, rel=1e-6)


def test_labels_are_never_read() -> None:
    recipe = tiny_recipe()
    batch = random_batch(recipe)
    assert batch.labels is None
    assert math.isfinite(build(recipe)(batch, at(0)).loss.item())


@pytest.mark.parametrize("num_locals", [0, 3])
def test_any_number_of_local_views(num_locals: int) -> None:
    recipe = tiny_recipe(data__views__local_count=num_locals)
    objective = build(recipe)
    objective(random_batch(recipe), at(0)).loss.backward()
    observed = objective.observe()
    assert observed.student_logits is not None
    assert observed.student_logits.shape == (2 + num_locals, 8, 32)


def test_state_round_trips_and_the_same_seed_gives_the_same_loss() -> None:
    recipe = tiny_recipe()
    first, second = build(recipe), build(recipe)
    assert take_step(first, recipe) == take_step(second, recipe)
    third = build(tiny_recipe(seed=1))
    third.load_state_dict(first.state_dict())
    batch = random_batch(recipe, seed=5)
    assert torch.equal(third(batch, at(1)).loss, first(batch, at(1)).loss)


def test_a_residual_network_learns_too() -> None:
    recipe = tiny_recipe(
        backbone={"name": "resnet10t", "drop_path": 0},
        data__views__global_px=32,
        objective__head__batch_norm=True,
    )
    objective = build(recipe)
    assert math.isfinite(take_step(objective, recipe))
