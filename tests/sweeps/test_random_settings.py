from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.studies.trials import Trial, ablation_settings, baseline_of
from poise.sweeps.random_settings import draw_settings
from tests.studies.builders import make_space, make_study, watched_recipe

MIXED = {
    "objective.teacher_temp": {"uniform": [0.02, 0.1]},
    "objective.center_momentum": {"grid_search": [0.9, 1.0]},
    "backbone.num_registers": {"randint": [0, 5]},
}


def test_a_grid_is_run_whole_for_each_draw_and_each_setting_with_each_seed() -> None:
    trials = make_study(make_space(MIXED, trials=2, seeds=[3, 4])).trials
    assert [trial.name for trial in trials] == [f"t0{n}-s{s}" for n in range(1, 5) for s in (3, 4)]
    assert [trial.seed for trial in trials] == [3, 4] * 4
    assert [trial.setting for trial in trials] == [0, 0, 1, 1, 2, 2, 3, 3]
    first, second = trials[0].settings, trials[2].settings
    assert (first["objective.center_momentum"], second["objective.center_momentum"]) == (0.9, 1.0)
    for key in ("objective.teacher_temp", "backbone.num_registers"):
        assert first[key] == second[key], "an ablation compares the grid, not the draws"
    assert first["objective.teacher_temp"] != trials[4].settings["objective.teacher_temp"]


def test_a_space_draws_the_same_again_and_another_seed_draws_others() -> None:
    assert draw_settings(make_space(MIXED, trials=3)) == draw_settings(make_space(MIXED, trials=3))
    other = draw_settings(make_space(MIXED, trials=3, sampling_seed=1))
    assert other != draw_settings(make_space(MIXED, trials=3))


@pytest.mark.parametrize(
    "sampler",
    [
        {"quniform": [0.02, 0.1, 0.02]},
        {"loguniform": [0.02, 0.1]},
        {"qloguniform": [0.02, 0.1, 0.02]},
        {"randn": [0.05, 0.001]},
        {"choice": [0.04, 0.05]},
    ],
)
def test_every_sampler_of_tune_gives_plain_values_that_a_recipe_takes(
    sampler: dict[str, list[float]],
) -> None:
    (trial,) = make_study(make_space({"objective.teacher_temp": sampler})).trials
    value = trial.settings["objective.teacher_temp"]
    assert type(value) is float
    recipe = trial.recipe(watched_recipe(), "s")
    assert recipe.objective.model_dump()["teacher_temp"] == value


def test_no_setting_comes_twice_even_where_that_ends_the_sweep_early() -> None:
    drawn = draw_settings(make_space({"backbone.num_registers": {"choice": [0, 2, 4]}}, trials=9))
    assert sorted(settings["backbone.num_registers"] for settings in drawn) == [0, 2, 4]


def test_a_trials_recipe_has_its_settings_its_seed_and_absolute_datasets(tmp_path: Path) -> None:
    trial = Trial("t01", 0, {"objective.teacher_temp": 0.07}, seed=5)
    recipe = trial.recipe(watched_recipe(evaluation__bank="s3://bucket/bank"), "s")
    settings = recipe.objective.model_dump()
    assert (settings["teacher_temp"], recipe.seed) == (0.07, 5)
    assert recipe.data.dataset == str(Path("nowhere").absolute())
    assert recipe.evaluation.bank == "s3://bucket/bank"
    assert Trial(**trial.as_config()) == trial


def test_an_ablation_runs_every_value_with_every_other_and_all_settings_with_one_seed_first() -> (
    None
):
    keys = "objective.teacher_temp", "objective.center_momentum"
    space = make_space({keys[0]: {"choice": [0.04, 0.2]}, keys[1]: {"grid_search": [0.9, 1.0]}})
    crossed = ablation_settings(space, watched_recipe(), "a.yaml")
    assert [tuple(each.values()) for each in crossed] == [
        (0.04, 0.9), (0.04, 1.0), (0.2, 0.9), (0.2, 1.0),
    ]  # fmt: skip
    study = make_study(make_space({keys[0]: {"choice": [0.04, 0.2]}}, seeds=[0, 1]), "ablate")
    assert [trial.name for trial in study.trials] == ["t01-s0", "t02-s0", "t01-s1", "t02-s1"]
    assert [trial.name for trial in make_study(study.space).trials][:2] == ["t01-s0", "t01-s1"]


def test_an_ablation_of_one_thing_at_a_time_runs_the_baseline_and_each_other_value_alone() -> None:
    keys = "objective.center_momentum", "objective.teacher_temp"
    space = make_space(
        {keys[0]: {"choice": [0.0, 0.9, 1.0]}, keys[1]: {"choice": [0.04, 0.2]}},
        design="one_at_a_time",
        baseline={keys[0]: 0.9, keys[1]: 0.04},
    )
    tried = ablation_settings(space, watched_recipe(), "a.yaml")
    assert [tuple(each.values()) for each in tried] == [
        (0.9, 0.04), (0.0, 0.04), (1.0, 0.04), (0.9, 0.2),
    ]  # fmt: skip


def test_an_ablation_cannot_run_every_value_of_a_range() -> None:
    space = make_space({"objective.teacher_temp": {"uniform": [0.02, 0.1]}})
    with pytest.raises(
        PoiseError, match=r"a\.yaml: .*teacher_temp: uniform draws .* `poise sweep a"
    ):
        ablation_settings(space, watched_recipe(), "a.yaml")


def test_the_baseline_has_the_named_values_and_for_the_rest_the_recipes_own() -> None:
    keys = "objective.center_momentum", "backbone.num_registers"
    space = make_space({key: {"choice": [0, 1]} for key in keys}, baseline={keys[1]: 1})
    assert baseline_of(space, watched_recipe()) == {keys[0]: 0.9, keys[1]: 1}
