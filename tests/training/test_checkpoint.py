"""Checkpoints round-trip, and refuse what is not theirs."""

import json
import math
from pathlib import Path

import pytest
import torch

from poise.config import PoiseError, Recipe
from poise.data.views.color_augmentation import Photometry
from poise.objectives import build_objective
from poise.objectives.base import RunPosition
from poise.training.checkpoint import (
    RUN_FILE,
    STATE_FILE,
    load_checkpoint,
    read_run,
    save_checkpoint,
)
from poise.training.loop import TrainingState
from poise.training.optimizer import build_optimizer
from tests.builders import random_batch, tiny_recipe


def begin(recipe: Recipe) -> TrainingState:
    torch.manual_seed(recipe.seed)
    objective = build_objective(recipe, Photometry(recipe.data.views, (0.5,) * 3, (0.25,) * 3))
    return TrainingState(objective, build_optimizer(recipe.optimizer, objective.trainable))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    recipe = tiny_recipe()
    state = begin(recipe)
    position = RunPosition(0, 10, 20)
    state.objective(random_batch(recipe), position).loss.backward()
    state.optimizer.step()
    state.objective.after_step(position)
    state.step = 7
    state.window.add(torch.tensor([3, 1]), torch.tensor([0.0, 0.5, 0.0, 0.5]))
    save_checkpoint(tmp_path / "checkpoint", state, recipe, [(0, {"a": 1.0}), (7, {"a": 0.5})])
    return tmp_path / "checkpoint"


def test_everything_that_is_state_comes_back(saved: Path) -> None:
    recipe = tiny_recipe()
    state = begin(tiny_recipe(seed=1))
    history = load_checkpoint(saved, state, recipe)
    assert history == [(0, {"a": 1.0}), (7, {"a": 0.5})]
    assert state.step == 7
    assert torch.count_nonzero(state.objective.state_dict()["center"]) > 0
    assert len(state.optimizer.state) > 0
    assert state.window.chosen.tolist() == [3, 1]
    assert state.window.mean_probs.tolist() == [0, 0.5, 0, 0.5]


def test_where_a_run_is_carried_out_may_change(saved: Path) -> None:
    elsewhere = tiny_recipe(training__num_workers=2, data__cut_processes=1)
    assert load_checkpoint(saved, begin(elsewhere), elsewhere)


def test_what_is_learned_may_not_change(saved: Path) -> None:
    other = tiny_recipe(objective__teacher_temp=0.07)
    with pytest.raises(PoiseError, match=r"objective\.teacher_temp: 0\.04 there, 0\.07 here"):
        load_checkpoint(saved, begin(other), other)


def test_a_truncated_file_is_named(saved: Path) -> None:
    path = saved / STATE_FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(PoiseError, match=r"state\.pt: cannot be read"):
        load_checkpoint(saved, begin(tiny_recipe()), tiny_recipe())


def test_nothing_in_a_checkpoint_is_code(saved: Path) -> None:
    assert torch.load(saved / STATE_FILE, weights_only=True)["step"] == 7


def test_a_diverged_run_is_not_resumed(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    lost = [(8, {"loss/total": float("nan")})]
    save_checkpoint(tmp_path / "checkpoint", begin(recipe), recipe, lost)
    with pytest.raises(PoiseError, match="had diverged"):
        load_checkpoint(tmp_path / "checkpoint", begin(recipe), recipe)


def test_metrics_that_are_no_numbers_are_kept_in_json_that_any_reader_takes(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    odd = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5}
    save_checkpoint(tmp_path, begin(recipe), recipe, [(8, odd)])

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    json.loads((tmp_path / RUN_FILE).read_text(), parse_constant=refuse)
    ((step, metrics),) = read_run(tmp_path)["history"]
    assert step == 8 and math.isnan(metrics.pop("a"))
    assert metrics == {"b": math.inf, "c": -math.inf, "d": 1.5}
