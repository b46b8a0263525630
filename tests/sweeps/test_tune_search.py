import re
from typing import Any

import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule
from ray.tune.search import Searcher

from poise.config import PoiseError, Space
from poise.studies.records import TrialRecord
from poise.studies.study import count_trials
from poise.studies.time_budget import Clock
from poise.studies.trials import Trial
from poise.sweeps.budget import BudgetedQueue, Purse
from poise.sweeps.trial_queue import trial_queue
from poise.sweeps.tune_search import TrialSearcher, check_compared, scheduler
from tests.studies.builders import TEMPERATURE, make_record, make_space, make_study


def budgeted(space: Space, records: list[TrialRecord]) -> BudgetedQueue:
    study = make_study(space)
    return BudgetedQueue(trial_queue(study, records), Purse(study, Clock(study)))


def names_of(searcher: TrialSearcher) -> list[str]:
    names: list[str] = []
    while (config := searcher.suggest(str(len(names)))) != Searcher.FINISHED:
        names.append(config["name"])
    return names


def ignore(trial: Trial) -> None:
    """Where nobody asks what was planned."""


def test_what_is_done_is_left_out_and_what_failed_or_was_interrupted_comes_first() -> None:
    space = make_space({TEMPERATURE: {"grid_search": [0.04, 0.05, 0.06, 0.07]}})
    records = [
        make_record("t01-s0"),
        make_record("t02-s0", state="failed", verdict=None),
        make_record("t03-s0", state="running", verdict=None),
    ]
    searcher = TrialSearcher(budgeted(space, records), ignore, lambda name, died, result: None)
    assert names_of(searcher) == ["t02-s0", "t03-s0", "t04-s0"]
    assert count_trials(make_study(space)) == 4


def test_trials_that_do_not_depend_on_results_are_all_planned_before_the_first_begins() -> None:
    space = make_space({TEMPERATURE: {"grid_search": [0.04, 0.05, 0.06]}}, seeds=[0, 1])
    planned: list[Trial] = []
    searcher = TrialSearcher(
        budgeted(space, [make_record("t01-s0")]),
        planned.append,
        lambda name, died, result: None,
    )
    names = [trial.name for trial in planned]
    assert names == ["t01-s1", "t02-s0", "t02-s1", "t03-s0", "t03-s1"]
    assert names_of(searcher) == names
    assert len(planned) == 5, "each is planned once"


def test_a_searcher_that_learns_plans_a_setting_with_all_its_seeds_once_it_is_suggested() -> None:
    pytest.importorskip("optuna")
    space = make_space(
        {TEMPERATURE: {"uniform": [0.02, 0.1]}}, trials=3, seeds=[0, 1], searcher={"name": "optuna"}
    )
    planned: list[Trial] = []
    searcher = TrialSearcher(budgeted(space, []), planned.append, lambda name, died, result: None)
    assert planned == []
    for trial_id, known in (("a", 2), ("b", 2), ("c", 4)):
        searcher.suggest(trial_id)
        assert [trial.name for trial in planned] == ["t01-s0", "t01-s1", "t02-s0", "t02-s1"][:known]


def test_a_trial_that_died_is_not_taken_for_one_that_was_stopped() -> None:
    asked: list[tuple[str, bool]] = []

    def settle(name: str, died: bool, result: object) -> None:
        asked.append((name, died))

    searcher = TrialSearcher(budgeted(make_space(trials=2), []), ignore, settle)
    for trial_id in "ab":
        searcher.suggest(trial_id)
    searcher.on_trial_complete("b", {"eval/knn_top1": 1.0})
    searcher.on_trial_complete("a", error=True)
    assert asked == [("t02-s0", False), ("t01-s0", True)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fifo", FIFOScheduler),
        ("asha", AsyncHyperBandScheduler),
        ("hyperband", AsyncHyperBandScheduler),
        ("median", MedianStoppingRule),
    ],
)
def test_schedulers_count_steps_and_leave_the_last_one_alone(name: str, kind: type) -> None:
    made = scheduler(make_space(scheduler={"name": name}), 400, "a.yaml")
    assert type(made) is kind
    inside: dict[str, Any] = vars(made)
    if name != "fifo":
        assert inside["_time_attr"] == "step", "Tune's own count starts again with each attempt"
    if kind is AsyncHyperBandScheduler:
        assert inside["_max_t"] > 400
        assert len(inside["_brackets"]) == (3 if name == "hyperband" else 1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("asha", {"grace_period": 400}, "grace_period=400: a trial has 400 steps; take fewer"),
        ("median", {"grace_period": 401}, "grace_period=401: a trial has 400 steps"),
        ("pbt", {"perturbation_interval": 400}, "perturbation_interval=400: a trial has 400"),
        ("pbt", {"burn_in_period": 1e6}, "burn_in_period=1000000.0: a trial has 400 steps"),
        ("asha", {"max_t": 10}, "max_t=10: is before the first decision at grace_period=50"),
        ("hyperband", {"brackets": 5}, "brackets=5: only 4 have a decision within a trial"),
        ("asha", {"brackets": 9, "max_t": 10**9}, "brackets=9: only 4 have a decision within"),
    ],
)
def test_a_scheduler_that_would_never_act_is_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    space = make_space(scheduler={"name": name, "options": options})
    with pytest.raises(PoiseError, match=re.escape(f"a.yaml: scheduler.options.{message}")):
        scheduler(space, 400, "a.yaml")


@pytest.mark.parametrize("brackets", [1, 4])
def test_every_bracket_of_a_scheduler_has_a_decision(brackets: int) -> None:
    options = {"brackets": brackets}
    made: Any = scheduler(
        make_space(scheduler={"name": "hyperband", "options": options}), 400, "a.yaml"
    )
    assert all(bracket._rungs for bracket in made._brackets)


def test_a_median_of_more_trials_than_there_are_is_refused() -> None:
    space = make_space(scheduler={"name": "median"})
    check_compared(space, 4, "a.yaml")
    with pytest.raises(PoiseError, match=r"min_samples_required=3: .* the study has only 3 trials"):
        check_compared(space, 3, "a.yaml")
