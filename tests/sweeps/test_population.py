"""Trials that go on from others with settings changed on the way."""

import random
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from poise.config import PoiseError
from poise.studies.labels import described
from poise.studies.records import Change
from poise.studies.study import Study
from poise.studies.trial_filter import choose_trials
from poise.sweeps.population import Population, check_at_once, check_population
from poise.sweeps.random_settings import draw_settings
from poise.sweeps.trial_queue import trial_queue
from poise.sweeps.tune_search import scheduler
from tests.data.builders import encode, smooth_image, write_dataset
from tests.studies.builders import TEMPERATURE, make_record, make_space, make_study, watched_recipe

MOMENTUM = "objective.teacher_momentum"
VALUES = [0.9, 0.99, 0.996, 0.999]
CONTINUE = TrialScheduler.CONTINUE


class Tuner:
    """What Tune's controller is to a scheduler."""

    def __init__(self, trials: list[Any]) -> None:
        self.trials, self.paused = trials, list[str]()

    def get_trials(self) -> list[Any]:
        return self.trials

    def pause_trial(self, trial: Any, should_checkpoint: bool) -> None:
        trial.status = "PAUSED"
        self.paused.append(trial.config["name"])


class TuneTrial:
    """One of Tune's trials, as far as its scheduler looks."""

    def __init__(self, name: str, settings: dict[str, float]) -> None:
        self.config: dict[str, Any] = {"name": name, "setting": 0, "settings": settings, "seed": 3}
        self.trial_id = self.experiment_tag = name
        self.status = "RUNNING"
        self.run_metadata = SimpleNamespace(checkpoint_manager=SimpleNamespace())

    def is_finished(self) -> bool:
        return False

    def set_experiment_tag(self, tag: str) -> None:
        self.experiment_tag = tag

    def set_config(self, config: dict[str, Any]) -> None:
        self.config = config


def reported(step: int, knn: float, path: str) -> dict[str, Any]:
    return {"step": step, "eval/knn_top1": knn, "checkpoint_path": path}


def begin(**parameters: Any) -> tuple[Any, list[TuneTrial], Tuner, list[tuple[str, Change]]]:
    """Two trials under a scheduler that exchanges every 10 steps."""
    told: list[tuple[str, Change]] = []
    space = make_space(parameters, scheduler={"name": "pbt"})
    made: Any = scheduler(space, 40, "a.yaml", lambda name, change: told.append((name, change)))
    assert isinstance(made, Population)
    made.set_search_properties("eval/knn_top1", "max")
    trials = [TuneTrial(f"t0{n}-s3", dict.fromkeys(parameters, 0.99)) for n in (1, 2)]
    tuner = Tuner(trials)
    for trial in trials:
        made.on_trial_add(tuner, trial)
    return made, trials, tuner, told


def test_the_worse_trial_goes_on_from_the_betters_checkpoint_with_settings_near_its() -> None:
    random.seed(0)
    made, (first, second), tuner, told = begin(**{MOMENTUM: {"choice": VALUES}})
    assert made.on_trial_result(tuner, first, reported(10, 50.0, "/runs/t01/ten")) == CONTINUE
    assert told == []
    answer = made.on_trial_result(tuner, second, reported(10, 20.0, "/runs/t02/ten"))
    assert answer == TrialScheduler.NOOP and tuner.paused == ["t02-s3"]
    ((name, change),) = told
    assert (name, change.step, change.donor) == ("t02-s3", 10, "t01-s3")
    assert change.checkpoint == "/runs/t01/ten", "Ray Train has stored it; it is not copied"
    assert change.settings[MOMENTUM] in (0.9, 0.996), "a neighbour of the better one's"
    assert second.config == {**second.config, "name": "t02-s3", "settings": change.settings}
    restored = second.run_metadata.checkpoint_manager._latest_checkpoint_result.checkpoint
    assert restored.path == "/runs/t01/ten"
    assert first.config["settings"] == {MOMENTUM: 0.99}


def test_a_changed_setting_stays_in_its_range() -> None:
    made, (first, second), tuner, told = begin(**{MOMENTUM: {"uniform": [0.98, 0.999]}})
    for step in range(10, 200, 10):
        made.on_trial_result(tuner, first, reported(step, 50.0, "/there"))
        second.status = "RUNNING"
        made.on_trial_result(tuner, second, reported(step, 20.0, "/here"))
    assert len(told) >= 10
    assert all(0.98 <= change.settings[MOMENTUM] <= 0.999 for _, change in told)


def test_nobody_goes_on_from_a_report_without_a_checkpoint() -> None:
    made, (first, second), tuner, told = begin(**{MOMENTUM: {"choice": VALUES}})
    made.on_trial_result(tuner, first, reported(10, 50.0, "/there"))
    without = {"step": 10, "eval/knn_top1": 20.0}
    assert made.on_trial_result(tuner, second, without) == CONTINUE
    assert told == []


def population_of(folder: Path, parameters: dict[str, Any], **changes: Any) -> Study:
    """Four steps an epoch, of two epochs; a checkpoint and an evaluation at every fourth."""
    write_dataset(folder / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    settings = {"scheduler": {"name": "pbt"}, "seeds": [0, 1]} | changes
    space = make_space(parameters, **settings)
    recipe = watched_recipe(data__dataset=str(folder / "dataset"))
    return Study("s", space, recipe, "a.yaml", (), settings=tuple(draw_settings(space)))


def test_a_population_that_could_exchange_nothing_is_refused_before_it_starts(
    tmp_path: Path,
) -> None:
    momentum = {MOMENTUM: {"choice": VALUES}}
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"objective.num_prototypes": {"choice": [32, 64]}}, {}, "'objective.num_prototypes' "),
        (momentum, {"searcher": {"name": "optuna"}}, "searcher optuna would learn from"),
        (momentum, {"seeds": [0]}, "needs a population, and there is one trial"),
        (momentum, {"seeds": [0, 1, 2]}, "its 3 trials at once, and only 2 run at once"),
        (momentum, {"budget": {"trials": 1}}, "budget.trials=1 lets fewer begin"),
    ]
    check_population(population_of(tmp_path / "fine", momentum))
    for number, (parameters, changes, message) in enumerate(cases):
        study = population_of(tmp_path / str(number), parameters, **changes)
        with pytest.raises(PoiseError, match=re.escape(message)):
            check_population(study)


def test_a_machine_that_is_too_small_for_a_population_is_told_in_cpus(tmp_path: Path) -> None:
    study = population_of(tmp_path, {MOMENTUM: {"choice": VALUES}})
    check_at_once(study, num_cpus=2)
    message = "its 2 trials at once, which needs 2 CPUs, 1 for each, and this machine has 1;"
    with pytest.raises(PoiseError, match=message):
        check_at_once(study, num_cpus=1)


def test_a_part_of_a_population_is_not_run_by_itself(tmp_path: Path) -> None:
    study = population_of(tmp_path, {MOMENTUM: {"choice": VALUES}})
    with pytest.raises(PoiseError, match="--only seed=0: scheduler pbt trains all trials"):
        choose_trials(study, ["seed=0"])


def test_checkpoints_that_never_meet_the_metric_are_refused(tmp_path: Path) -> None:
    study = population_of(tmp_path, {MOMENTUM: {"choice": VALUES}})
    recipe = watched_recipe(
        data__dataset=str(tmp_path / "dataset"), training__checkpoint_every_steps=3
    )
    apart = Study("s", study.space, recipe, "a.yaml", (), settings=study.settings)
    with pytest.raises(PoiseError, match="no step of 8 has both a checkpoint and 'eval/knn_top1'"):
        check_population(apart)


def test_a_resumed_trial_goes_on_with_the_settings_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    space = make_space({TEMPERATURE: {"choice": [0.04, 0.07]}}, seeds=[0])
    study = Study("s", space, make_study().recipe, "a.yaml", (), settings=({TEMPERATURE: 0.04},))
    change = Change(8, "t02-s0", "/there", {TEMPERATURE: 0.07})
    study.write(make_record("t01-s0", state="running", verdict=None, changes=(change,)))
    (record,) = study.records()
    assert record.changes == (change,)
    trial = trial_queue(study, [record]).next_trial()
    assert trial is not None
    assert (record.trial.settings, trial.settings) == ({TEMPERATURE: 0.04}, {TEMPERATURE: 0.07})
    assert described(record.changes) == f"from step 8 of t02-s0 on: {TEMPERATURE}=0.07"
