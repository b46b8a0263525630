import re
from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError
from poise.studies.study import Study
from poise.studies.trial_filter import choose_trials
from tests.studies.builders import (
    TEMPERATURE,
    make_record,
    make_space,
    make_study,
    watched_recipe,
)

CENTERING = "objective.center_momentum"
SPACE = make_space(
    {TEMPERATURE: {"grid_search": [0.04, 0.2]}, CENTERING: {"grid_search": [0.9, 1.0]}},
    seeds=[0, 1],
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["t03-s1"], ["t03-s1"]),
        (["seed=1", "teacher_temp=0.2"], ["t03-s1", "t04-s1"]),
        ([f"{CENTERING}=1", "seed=0"], ["t02-s0", "t04-s0"]),
        (["teacher_temp=0.2", "seed=0", "seed=1"], ["t03-s0", "t03-s1", "t04-s0", "t04-s1"]),
        (["t04-s0", "seed=1", "teacher_temp=0.04"], ["t01-s1", "t02-s1", "t04-s0"]),
    ],
)
def test_trials_are_chosen_by_name_or_by_all_that_is_asked_of_them(
    words: list[str], expected: list[str]
) -> None:
    assert sorted(trial.name for trial in choose_trials(make_study(SPACE), words)) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["t09-s0"], "--only t09-s0: no trial has this name; did you mean 't0"),
        (["zzz"], "--only zzz: no trial has this name; there are t01-s0, t01-s1, t02-s0"),
        (["seed=true"], "--only seed=true: no trial has it; of seed there are 0, 1"),
        (["seed=0", "teacher_temp="], "no trial has it; of teacher_temp there are 0.04, 0.2"),
        (["seed=2"], "--only seed=2: no trial has it; of seed there are 0, 1"),
        (["teacher_tmp=1"], "'teacher_tmp' does not vary from trial to trial; did you mean "),
        (["zz=1"], "'zz' does not vary from trial to trial; what varies: teacher_temp, "
         "center_momentum and seed"),
    ],
)  # fmt: skip
def test_what_no_trial_has_is_refused_with_what_there_is(words: list[str], expected: str) -> None:
    with pytest.raises(PoiseError, match=re.escape(expected)):
        choose_trials(make_study(SPACE), words)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (["0.04", "0.2"], "teacher_temp=0.04"),
        (["0.04", "0.2"], "teacher_temp='0.04'"),
        ([0.04, 0.2], "teacher_temp=4e-2"),
        ([0.04, 0.2], "teacher_temp=0.040"),
        ([0.04, 0.2], f"{TEMPERATURE}=.04"),
        ([0.05234567890123, 0.2], "teacher_temp=0.0523457"),
        ([100, 8], "teacher_temp=1e2"),
        ([True, 1.5], "teacher_temp=True"),
        ([True, False], "teacher_temp=true"),
        ([None, 0.2], "teacher_temp=null"),
        ([None, 0.2], "teacher_temp=None"),
        ([[0.05, 0.2], [0.1, 0.4]], "teacher_temp=[0.050, 2e-1]"),
        ([{"depth": 1}, {"depth": 2}], "teacher_temp={depth: 1}"),
        (["1:30", "2:30"], "teacher_temp=1:30"),
    ],
)
def test_a_value_is_found_however_it_is_written(values: list[Any], word: str) -> None:
    space = make_space({TEMPERATURE: {"choice": values}})
    settings = tuple({TEMPERATURE: value} for value in values)
    study = Study("s", space, watched_recipe(), "a.yaml", (), settings=settings)
    assert [trial.name for trial in choose_trials(study, [word])] == ["t01-s0"]


def test_a_number_that_a_boolean_would_equal_is_another_value() -> None:
    space = make_space({TEMPERATURE: {"choice": [True, False]}})
    settings = tuple({TEMPERATURE: value} for value in (True, False))
    study = Study("s", space, watched_recipe(), "a.yaml", (), settings=settings)
    with pytest.raises(PoiseError, match="teacher_temp there are true, false"):
        choose_trials(study, ["teacher_temp=1"])


def test_what_is_done_does_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    study = make_study(SPACE)
    study.write(make_record("t01-s0"))
    (left,) = choose_trials(study, ["t01-s0", "t01-s1"])
    assert left.name == "t01-s1"
    with pytest.raises(PoiseError, match="--only t01-s0: t01-s0 done already"):
        choose_trials(study, ["t01-s0"])


def test_of_a_searcher_that_decides_as_it_goes_nothing_can_be_chosen_beforehand() -> None:
    study = make_study(make_space(searcher={"name": "optuna"}))
    with pytest.raises(PoiseError, match="searcher optuna decides during the study"):
        choose_trials(study, ["seed=0"])
