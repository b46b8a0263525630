import re
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.studies.findings.reproduction import reproduction
from poise.studies.study import Study
from poise.sweeps.extension import extend_study
from poise.sweeps.planning import begin_study
from tests.studies.builders import TEMPERATURE

CENTERING = "objective.center_momentum"


@pytest.fixture
def study(space_file: Path) -> Study:
    return begin_study(str(space_file), ["seeds=[0,1]"], "a", "ablate")


def values(*grid: float) -> str:
    return f"parameters.{TEMPERATURE}={{grid_search: {[*grid]}}}"


@pytest.mark.slow
def test_what_was_tried_keeps_its_name_and_what_is_new_gets_the_next(study: Study) -> None:
    more = extend_study("a", None, [values(0.04, 0.05, 0.07), "seeds=[0,1,2]"], "ablate")
    assert set(study.trials) < set(more.trials)
    new = {trial.name: trial.settings[TEMPERATURE] for trial in more.trials[2:] if trial.seed == 0}
    assert new == {"t03-s0": 0.05}, "though it stands between the others in the list"
    assert [t.name for t in more.trials if t.seed == 2] == ["t01-s2", "t02-s2", "t03-s2"]


@pytest.mark.slow
def test_the_command_to_reproduce_an_extended_study_says_that_it_numbers_trials_differently(
    study: Study,
) -> None:
    def command(study: Study) -> list[str]:
        return reproduction(study, [], {}, {}).command.splitlines()

    more_seeds = extend_study("a", None, ["seeds=[0,1,2]"], "ablate")
    assert len(command(study)) == len(command(more_seeds)) == 1
    at_the_end = extend_study("a", None, [values(0.04, 0.07, 0.1)], "ablate")
    assert len(command(at_the_end)) == 1
    line, comment = command(extend_study("a", None, [values(0.04, 0.05, 0.07)], "ablate"))
    assert line.startswith("poise ablate two.yaml 'seeds=[0,1]' 'parameters.")
    assert comment.startswith("# This command gives settings and trials other numbers, because")


@pytest.mark.slow
def test_a_sweep_draws_further_and_keeps_its_first_draws(space_file: Path) -> None:
    draws = f"parameters.{TEMPERATURE}={{uniform: [0.02, 0.1]}}"
    study = begin_study(str(space_file), [draws, "trials=2"], "a")
    more = extend_study("a", None, ["trials=4"])
    assert len(more.trials) == 4 and more.trials[:2] == study.trials
    with pytest.raises(PoiseError, match="uniform of other values would draw other settings"):
        extend_study("a", None, [draws.replace("0.1", "0.2"), "trials=4"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "--extend a: nothing is added; name the old and the new, such as 'seeds=[0, 1, 2]'"),
        (["seeds=[1,2]"], "seeds: 0 was tried and is gone; name the old and the new: [0, 1] and"),
        ([values(0.04, 0.05)], f"parameters.{TEMPERATURE}: 0.07 was tried and is gone"),
        ([f"parameters.{CENTERING}={{choice: [0.9, 1.0]}}"], f"parameters.{CENTERING}: varies only "
         "here; the same hyperparameters must vary"),
        (["seeds=[0,1,2]", "metric=loss/total"], "was begun with another metric (['eval/knn_top1'] "
         "there, ['loss/total'] here)"),
        (["seeds=[0,1,2]", "recipe=b.yaml"], "--extend a: recipe: stays as it was asked; name the"),
        (["seeds=[0,1,2]", "question=Why?"], "--extend a: question: stays as it was asked"),
        (["seeds=[0,1,2]", "published=No."], "--extend a: published: stays as it was asked"),
        (["training.epochs=9"], "training.epochs=9: its recipe stays as it is"),
    ],
)  # fmt: skip
def test_what_is_no_addition_is_refused_with_the_key(
    study: Study, words: list[str], expected: str
) -> None:
    with pytest.raises(PoiseError, match=re.escape(expected)):
        extend_study(study.name, None, words, "ablate")


@pytest.mark.slow
def test_with_a_file_the_recipe_is_compared_too(study: Study, space_file: Path) -> None:
    more = extend_study("a", str(space_file), ["seeds=[0,1,2]"], "ablate")
    assert more.space.seeds == (0, 1, 2)
    with pytest.raises(PoiseError, match=r"another recipe's training\.epochs \(2 there, 9 here\)"):
        extend_study("a", str(space_file), ["seeds=[0,1,2]", "training.epochs=9"], "ablate")
