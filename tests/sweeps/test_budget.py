from pathlib import Path
from typing import Any

import pytest

from poise.studies.study import Study
from poise.studies.time_budget import Clock
from poise.sweeps.budget import BudgetedQueue, Purse
from poise.sweeps.planning import begin_study
from poise.sweeps.step_time import Pace, kind_of
from poise.sweeps.trial_queue import trial_queue
from tests.studies.builders import make_record

STEPS = 4  # of every trial: two epochs of 18 images, 8 at a time


@pytest.fixture
def begin(space_file: Path) -> Any:
    """Begins an ablation of two settings and two seeds with a budget."""

    def begin(*budget: str) -> Study:
        return begin_study(str(space_file), ["seeds=[0,1]", *budget], "a", "ablate")

    return begin


def source_of(study: Study, now_s: Any = lambda: 0.0) -> BudgetedQueue:
    purse = Purse(study, Clock(study, now_s))
    return BudgetedQueue(trial_queue(study, study.records()), purse)


def names_of(source: BudgetedQueue) -> list[str]:
    return [trial.name for trial in iter(source.next_trial, None)]


def test_without_a_budget_every_trial_begins(begin: Any) -> None:
    source = source_of(begin())
    assert names_of(source) == ["t01-s0", "t02-s0", "t01-s1", "t02-s1"]
    assert source.lacks == "" and not source.waits


def test_trials_count_once_however_often_they_begin(begin: Any) -> None:
    study = begin("budget.trials=2")
    study.write(make_record("t01-s0", state="failed", verdict=None))
    source = source_of(study)
    assert names_of(source) == ["t01-s0", "t02-s0"]
    assert source.lacks == "budget.trials=2" and not source.waits


def test_steps_that_a_stopped_trial_did_not_make_pay_for_the_next(begin: Any) -> None:
    source = source_of(begin(f"budget.steps={2 * STEPS + 3}"))
    assert names_of(source) == ["t01-s0", "t02-s0"]
    assert source.waits, "a trial that runs may yet be stopped early"
    source.end("t01-s0", make_record("t01-s0", state="stopped", step=1))
    assert names_of(source) == ["t01-s1"]
    source.end("t02-s0", make_record("t02-s0", step=STEPS))
    source.end("t01-s1", None)  # its process died before it began
    assert names_of(source) == ["t02-s1"]
    source.end("t02-s1", make_record("t02-s1", step=STEPS))
    assert names_of(source) == [] and not source.waits


def test_no_trial_begins_that_would_end_after_the_hours_are_over(begin: Any) -> None:
    now_s = 0.0
    study = begin("budget.hours=1")
    source = source_of(study, lambda: now_s)
    first = source.next_trial()
    assert first is not None, "nothing is known of how long a trial takes"
    now_s = 1000.0
    source.end(first.name, make_record(first.name, step=STEPS, seconds=1500.0))
    assert [trial.name for trial in (source.next_trial(),) if trial] == ["t02-s0"]
    now_s = 2200.0
    assert source.next_trial() is None and source.lacks == "budget.hours=1"
    source.end("t02-s0", make_record("t02-s0", step=STEPS, seconds=1200.0))

    resumed = Clock(study, lambda: 50.0)
    assert resumed.read_s() == 2200.0, "the time of all resumptions is added up"


def test_where_a_pace_is_known_the_first_trials_need_room_too(begin: Any) -> None:
    study = begin("budget.hours=1")
    kind = kind_of(study.trials[0].recipe(study.recipe, study.name))
    for seconds, names in ((3600 / STEPS, []), (3599 / STEPS, ["t01-s0"])):
        paces = {kind: Pace(seconds, "as others took")}
        purse = Purse(study, Clock(study, lambda: 0.0), paces)
        source = BudgetedQueue(trial_queue(study, []), purse)
        assert [trial.name for trial in [source.next_trial()] if trial] == names
    assert Purse(study, Clock(study)).expected_s(study.trials[0]) == 0.0, "nothing is known"


def test_a_trial_that_ended_early_does_not_tell_how_long_others_take(begin: Any) -> None:
    study = begin("budget.hours=1")
    study.write(make_record("t01-s0", state="stopped", step=1, seconds=3000.0))
    assert Purse(study, Clock(study)).expected_s(study.trials[1]) == 0.0
    study.write(make_record("t01-s1", step=STEPS, seconds=8.0))
    assert Purse(study, Clock(study)).expected_s(study.trials[1]) == 8.0
