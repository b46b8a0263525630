import re
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.studies.choosing import choose_trials
from tests.studies.builders import TEMPERATURE, make_record, make_space, make_study

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
        (["t09-s0"], "--only t09-s0: there is no such trial; there are t01-s0, t01-s1, t02-s0"),
        (["seed=2"], "--only seed=2: no trial has it; of seed there are 0, 1"),
        (["teacher_tmp=1"], "no trial has a 'teacher_tmp' of its own; did you mean 'teacher_temp"),
        (["zz=1"], "no trial has a 'zz' of its own; what varies: teacher_temp, center_momentum and "
         "seed"),
    ],
)  # fmt: skip
def test_what_no_trial_has_is_refused_with_what_there_is(words: list[str], expected: str) -> None:
    with pytest.raises(PoiseError, match=re.escape(expected)):
        choose_trials(make_study(SPACE), words)


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
    with pytest.raises(PoiseError, match="searcher optuna decides as it goes"):
        choose_trials(study, ["seed=0"])
