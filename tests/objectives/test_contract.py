"""What every objective promises to the loop, the checkpoint and the diagnostics."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import pytest
import torch
from torch import Tensor

from poise.config import Recipe
from poise.data.batch import ViewBatch
from poise.data.views.color_augmentation import Photometry
from poise.diagnostics.batch_statistics import BatchStatistics
from poise.diagnostics.judge import VerdictKind, judge
from poise.diagnostics.observe import diagnose
from poise.objectives import build_objective
from poise.objectives.base import Objective, RunPosition
from poise.training.loop import TrainingState, train_steps
from poise.training.observer import FinishedStep
from poise.training.optimizer import build_optimizer
from poise.training.schedule import Timetable
from tests.builders import random_batch, tiny_masked_recipe, tiny_recipe

Build = Callable[..., Recipe]

STEPS_PER_EPOCH = 4
START = RunPosition(0, STEPS_PER_EPOCH, 8)


@pytest.fixture(params=[tiny_recipe, tiny_masked_recipe], ids=["dino", "mae"])
def build(request: pytest.FixtureRequest) -> Build:
    """Makes a small recipe of the objective."""
    made: Build = request.param
    return made


def begin(recipe: Recipe) -> TrainingState:
    torch.manual_seed(recipe.seed)
    objective = build_objective(recipe, Photometry(recipe.data.views, (0.5,) * 3, (0.25,) * 3))
    return TrainingState(objective, build_optimizer(recipe.optimizer, objective.trainable))


def batches(recipe: Recipe, start: int) -> Iterator[ViewBatch]:
    for step in range(start, 100):
        yield random_batch(recipe, seed=step)


def train(recipe: Recipe, state: TrainingState, steps: int) -> list[FinishedStep]:
    timetable = Timetable(recipe, STEPS_PER_EPOCH)
    return list(islice(train_steps(timetable, state, batches(recipe, state.step)), steps))


def numbers(report: FinishedStep) -> dict[str, float]:
    """A report's metrics that do not tell the time."""
    metrics = report.metrics.items()
    return {name: value for name, value in metrics if not name.startswith("throughput/")}


def gradients(objective: Objective, batch: ViewBatch) -> dict[str, Tensor]:
    objective(batch, START).loss.backward()
    return {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}


def seen_by(objective: Objective) -> BatchStatistics:
    """What diagnostics read of the latest batch."""
    seen = BatchStatistics.of(objective.observe())
    seen.read_tokens(objective.backbone)
    return seen


def test_the_loss_is_a_finite_scalar_and_metrics_are_detached(build: Build) -> None:
    recipe = build()
    result = begin(recipe).objective(random_batch(recipe), START)
    assert result.loss.shape == () and math.isfinite(result.loss.item())
    assert all(value.shape == () and not value.requires_grad for value in result.metrics.values())


def test_gradients_reach_all_that_trains_and_nothing_else(build: Build) -> None:
    recipe = build()
    objective = begin(recipe).objective
    found = gradients(objective, random_batch(recipe))
    trained = {id(p) for p in objective.trainable.parameters() if p.requires_grad}
    expected = {name for name, p in objective.named_parameters() if id(p) in trained}
    assert found.keys() == expected
    assert all(gradient.isfinite().all() for gradient in found.values())
    assert any(gradient.any() for gradient in found.values())


def test_the_same_seed_gives_the_same_loss_and_another_one_another(build: Build) -> None:
    recipe, other = build(), build(seed=1)
    first, second, third = (begin(each).objective for each in (recipe, recipe, other))
    batch = random_batch(recipe)
    losses = [objective(batch, START).loss.item() for objective in (first, second, third)]
    assert losses[0] == losses[1] != losses[2]


def test_state_round_trips(build: Build) -> None:
    recipe = build()
    state = begin(recipe)
    train(recipe, state, 3)
    other = begin(build(seed=0, name="another")).objective
    other.load_state_dict(state.objective.state_dict())
    batch = random_batch(recipe, seed=50)
    assert torch.equal(other(batch, START).loss, state.objective(batch, START).loss)


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(build: Build) -> None:
    recipe = build(backbone__drop_path=0.3)
    whole = begin(recipe)
    expected_metrics = [numbers(report) for report in train(recipe, whole, 8)]

    first = begin(recipe)
    seen = [numbers(report) for report in train(recipe, first, 4)]
    torch.manual_seed(12345)  # another process has drawn other numbers
    second = begin(recipe)
    for parameter in second.objective.parameters():
        parameter.data.zero_()
    second.objective.load_state_dict(first.objective.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.step = first.step
    second.window.load_state_dict(first.window.state_dict())
    seen += [numbers(report) for report in train(recipe, second, 4)]

    assert seen == expected_metrics
    expected = whole.objective.state_dict()
    found = second.objective.state_dict()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def test_what_a_batch_teaches_does_not_depend_on_its_order(build: Build) -> None:
    """So any number of workers may share it: what is drawn belongs to the sample."""
    recipe = build()
    objective, batch = begin(recipe).objective, random_batch(recipe)
    turned = ViewBatch(
        batch.global_views.flip(1), batch.global_photometry.flip(1), batch.local_views.flip(1),
        batch.local_photometry.flip(1), batch.sample_ids.flip(0),
    )  # fmt: skip
    loss = objective(batch, START).loss.item()
    assert objective(turned, START).loss.item() == pytest.approx(loss, rel=1e-5)


def test_diagnostics_find_what_its_settings_promise(build: Build) -> None:
    recipe = build()
    objective = begin(recipe).objective
    objective(random_batch(recipe), START)
    numbers = dict(diagnose(seen_by(objective)))
    assert {"features/std", "features/rankme"} <= numbers.keys()
    assert all(math.isfinite(value) for value in numbers.values())
    history = [(step, numbers) for step in range(1, 41)]
    verdict = judge(history, recipe.objective.signals)
    assert verdict.kind is not VerdictKind.UNDECIDED, "from a history this long something follows"


def test_the_backbone_turns_whole_images_into_features(build: Build) -> None:
    recipe = build()
    backbone = begin(recipe).objective.backbone
    features = backbone(torch.randn(2, 3, 16, 16))
    assert features.shape == (2, backbone.feature_dim)


@contextmanager
def unchanged(objective: Objective) -> Iterator[None]:
    """Nothing in here may leave a trace: not in state, modes or what is drawn next."""
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    modes = [module.training for module in objective.modules()]
    random_state = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), random_state)
    assert modes == [module.training for module in objective.modules()]
    assert all(torch.equal(before[k], v) for k, v in objective.state_dict().items())


def test_pictures_are_rgb_and_change_nothing(build: Build) -> None:
    recipe = build(backbone__drop_path=0.3)
    objective = begin(recipe).objective
    with unchanged(objective):
        pictures = objective.pictures(random_batch(recipe))
    for picture in pictures.values():
        assert picture.dtype == torch.uint8 and picture.ndim == 3 and len(picture) == 3


def test_observing_changes_nothing_and_gives_the_same_again(build: Build) -> None:
    recipe = build(backbone__drop_path=0.3)
    objective = begin(recipe).objective
    objective(random_batch(recipe), START)
    with unchanged(objective):
        first = dict(diagnose(seen_by(objective)))
    assert first == dict(diagnose(seen_by(objective)))
