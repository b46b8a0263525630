"""Options of schedulers and searchers."""

import inspect
from typing import Any

import pytest
from pydantic import ValidationError
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
)

from poise.config import PoiseError, Space
from poise.config.loading import override_space
from poise.config.search_and_scheduler import _DECIDED, _OPTIONS

TEMPERATURE, REGISTERS = "objective.teacher_temp", "backbone.num_registers"


def space(**changes: Any) -> Space:
    parameters = {TEMPERATURE: {"uniform": [0.02, 0.1]}, REGISTERS: {"choice": [0, 4]}}
    tree = {"name": "a", "recipe": "b.yaml", "parameters": parameters, "trials": 3}
    return Space.model_validate({**tree, **changes})


@pytest.mark.parametrize(
    ("kind", "name", "options", "expected"),
    [
        ("scheduler", "asha", {"grace_perid": 4}, "scheduler asha has no option 'grace_perid'; did "
         "you mean 'grace_period'?"),
        ("scheduler", "asha", {"zzz": 4}, "it takes grace_period, max_t, reduction_factor"),
        ("scheduler", "fifo", {"grace_period": 4}, "has no option 'grace_period'; it takes none"),
        ("scheduler", "asha", {"time_attr": "epochs"}, "scheduler.options.time_attr: trials are "
         "compared by their steps; leave the option out"),
        ("scheduler", "median", {"metric": "loss/total"}, "`metric` of the space decides"),
        ("scheduler", "asha", {"mode": "min"}, "`mode` of the space decides"),
        ("scheduler", "pbt", {"synch": True}, "all trials would pause at each interval"),
        ("scheduler", "pbt", {"custom_explore_fn": "f"}, "a space holds values, no functions"),
        ("scheduler", "asha", {"grace_period": "4"}, "scheduler.options.grace_period='4' must be a "
         "whole number"),
        ("scheduler", "asha", {"grace_period": True}, "=true must be a whole number"),
        ("scheduler", "asha", {"reduction_factor": 1}, "=1 must be at least 1.1"),
        ("scheduler", "hyperband", {"brackets": 0}, "=0 must be at least 1"),
        ("scheduler", "pbt", {"quantile_fraction": 0.6}, "=0.6 must be at most 0.5"),
        ("scheduler", "pbt", {"perturbation_factors": [1.2, "a"]}, "='a' must be a number"),
        ("searcher", "random", {"seed": 1}, "`sampling_seed` of the space decides"),
        ("searcher", "random", {"points_to_evaluate": []}, "has no option 'points_to_evaluate'"),
        ("searcher", "optuna", {"storage": "sqlite:///a"}, "the study's own records hold what was"),
        ("searcher", "optuna", {"n_startup_trials": 3}, "has no option 'n_startup_trials'"),
        ("searcher", "optuna", {"points_to_evaluate": 3}, "points_to_evaluate=3 must be a list"),
        ("searcher", "optuna", {"points_to_evaluate": [3]}, "=3 must be a group of options"),
    ],
)  # fmt: skip
def test_an_option_that_would_do_nothing_or_is_poises_own_is_refused_with_the_reason(
    kind: str, name: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValidationError) as error:
        space(**{kind: {"name": name, "options": options}})
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([{"teacher_tmp": 0.04, REGISTERS: 0}], "setting 1: 'teacher_tmp' does not vary here; did"),
        ([{TEMPERATURE: 0.2, REGISTERS: 0}], f"{TEMPERATURE}=0.2 is not in {{uniform: [0.02, 0.1]"),
        ([{TEMPERATURE: "0.04", REGISTERS: 0}], f"{TEMPERATURE}='0.04' is not in"),
        ([{TEMPERATURE: 0.04, REGISTERS: 2}], f"{REGISTERS}=2 is not in {{choice: [0, 4]}}"),
        ([{TEMPERATURE: 0.04, REGISTERS: False}], f"{REGISTERS}=False is not in"),
        (
            [{TEMPERATURE: 0.04}],
            f"setting 1: leaves out {REGISTERS}; name every varied hyperparameter",
        ),
        ([{}], f"setting 1: leaves out {TEMPERATURE}"),
        ([{TEMPERATURE: 0.04, REGISTERS: 0}] * 2, "setting 2: comes twice; a setting is run once"),
        ([{TEMPERATURE: 0.04, REGISTERS: 0}] * 4, "has 4 settings and trials=3 runs fewer; set"),
    ],
)
def test_settings_to_be_tried_first_must_be_in_the_space(
    points: list[dict[str, Any]], expected: str
) -> None:
    options = {"points_to_evaluate": points}
    with pytest.raises(ValidationError) as error:
        space(searcher={"name": "optuna", "options": options})
    assert expected in str(error.value)


def test_options_of_another_scheduler_do_not_pass_when_the_name_alone_is_changed() -> None:
    asha = space(scheduler={"name": "asha", "options": {"brackets": 2}})
    with pytest.raises(PoiseError, match="scheduler median has no option 'brackets'"):
        override_space(asha, ["scheduler.name=median"], "a.yaml")


def test_every_option_of_tunes_schedulers_is_known_or_decided_with_a_reason() -> None:
    for name, kind in (
        ("asha", AsyncHyperBandScheduler),
        ("median", MedianStoppingRule),
        ("pbt", PopulationBasedTraining),
    ):
        there = set(inspect.signature(kind.__init__).parameters) - {"self"}
        known = set(_OPTIONS[name].model_fields)
        assert known <= there
        assert there - known <= set(_DECIDED)
