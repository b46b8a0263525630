"""The loop, driven by hand: without Ray, without a dataset."""

import math
from collections.abc import Iterator
from itertools import islice

import pytest
import torch

from poise.config import Recipe
from poise.config.metrics import COST
from poise.data.batch import ViewBatch
from poise.data.views.color_augmentation import Photometry
from poise.objectives import build_objective
from poise.training.loop import TrainingState, is_diverged, train_steps
from poise.training.observer import FinishedStep
from poise.training.optimizer import build_optimizer
from poise.training.schedule import Timetable
from tests.builders import random_batch, tiny_recipe

CPU = torch.device("cpu")
STEPS_PER_EPOCH = 6


def begin(recipe: Recipe) -> TrainingState:
    torch.manual_seed(recipe.seed)
    objective = build_objective(recipe, Photometry(recipe.data.views, (0.5,) * 3, (0.25,) * 3))
    return TrainingState(objective, build_optimizer(recipe.optimizer, objective.trainable))


def batches(recipe: Recipe, start: int = 0) -> Iterator[ViewBatch]:
    for step in range(start, 100):
        yield random_batch(recipe, seed=step)


def run(recipe: Recipe, state: TrainingState) -> Iterator[FinishedStep]:
    timetable = Timetable(recipe, STEPS_PER_EPOCH)
    return train_steps(timetable, state, batches(recipe, state.step))


def test_a_report_follows_every_step_and_metrics_come_at_boundaries() -> None:
    recipe = tiny_recipe()
    reports = list(islice(run(recipe, begin(recipe)), 6))
    assert [report.step for report in reports] == [1, 2, 3, 4, 5, 6]
    assert [bool(report.metrics) for report in reports] == [True, True, False, True, False, True]
    assert reports[2].epoch == pytest.approx(0.5)
    assert reports[2].images_seen == 24
    expected = {
        "loss/total", "loss/over_ln_k", "teacher/entropy", "teacher/kl", "teacher/cross_entropy",
        "teacher/marginal_entropy", "teacher/mutual_information", "teacher/ema_gap",
        "center/norm", "features/std", "features/rankme", "gradient/norm", "schedule/lr",
        "schedule/weight_decay", "schedule/teacher_momentum", "schedule/teacher_temp",
        "throughput/images_per_s", "throughput/data_wait_share",
    }  # fmt: skip
    assert expected <= reports[1].metrics.keys()
    assert all(math.isfinite(value) for value in reports[1].metrics.values())


def test_the_logged_loss_is_the_mean_over_the_interval() -> None:
    recipe, every = tiny_recipe(), tiny_recipe(training__log_every_steps=1)
    pairs = list(islice(run(recipe, begin(recipe)), 4))
    singles = list(islice(run(every, begin(every)), 4))
    mean = sum(report.metrics["loss/total"] for report in singles[2:]) / 2
    assert pairs[3].metrics["loss/total"] == pytest.approx(mean)


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_a_run_resumed_from_its_state_is_the_run_that_was_not_interrupted(drop_path: float) -> None:
    """Bit for bit, stochastic depth included: what is drawn depends on epoch and sample alone."""
    recipe = tiny_recipe(backbone__drop_path=drop_path)
    whole = begin(recipe)
    list(islice(run(recipe, whole), 8))

    first = begin(recipe)
    list(islice(run(recipe, first), 5))
    torch.manual_seed(12345)  # another process has drawn other numbers
    second = begin(recipe)
    for parameter in second.objective.parameters():
        parameter.data.zero_()
    second.objective.load_state_dict(first.objective.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.step = first.step
    list(islice(run(recipe, second), 3))

    expected = whole.objective.state_dict()
    assert second.step == whole.step == 8
    for name, value in second.objective.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.slow
def test_learning_lowers_the_loss_on_a_repeated_batch() -> None:
    recipe = tiny_recipe(training__log_every_steps=1, optimizer__base_lr=0.1)
    state, timetable = begin(recipe), Timetable(recipe, 50)
    same = (random_batch(recipe) for _ in range(30))
    reports = list(train_steps(timetable, state, same))
    assert reports[-1].metrics["teacher/kl"] < 0.7 * reports[0].metrics["teacher/kl"]


def test_a_loss_that_is_no_number_is_told_at_the_next_boundary() -> None:
    recipe = tiny_recipe()
    state = begin(recipe)
    reports = run(recipe, state)
    list(islice(reports, 2))
    with torch.no_grad():
        next(state.objective.trainable.parameters()).fill_(float("nan"))
    assert not is_diverged(next(reports))
    assert is_diverged(next(reports))


def test_a_teacher_of_momentum_1_is_seen_not_to_move() -> None:
    still = {"objective__teacher_momentum": 1.0, "objective__final_teacher_momentum": 1.0}
    for changes, moves in ((still, False), ({}, True)):
        recipe = tiny_recipe(**changes)
        reports = list(islice(run(recipe, begin(recipe)), 4))
        sizes = [r.metrics["teacher/update_size"] for r in reports if r.metrics]
        assert any(sizes) is moves


def test_the_first_step_shows_the_untrained_features_and_no_speed() -> None:
    recipe = tiny_recipe(training__log_every_steps=100)
    (first, *_) = islice(run(recipe, begin(recipe)), 1)
    assert "features/rankme" in first.metrics
    assert [name for name in first.metrics if name.startswith("throughput/")] == [*COST]
