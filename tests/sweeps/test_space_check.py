import re
from typing import Any

import pytest

from poise.config import PoiseError, Recipe
from poise.sweeps.space_check import check_space
from tests.builders import tiny_recipe
from tests.studies.builders import make_space, watched_recipe


@pytest.mark.parametrize(
    ("key", "sampler", "expected"),
    [
        ("objective.teacher_tmp", {"choice": [1]}, "no option is called 'objective.teacher_tmp'; "
         "did you mean 'objective.teacher_temp'?"),
        ("teacher_temp", {"choice": [1]}, "did you mean 'objective.teacher_temp'?"),
        ("objective.center_momentum", {"uniform": [0.5, 1.5]}, "objective.center_momentum=1.5 must "
         "be at most 1"),
        ("objective.center_momentum", {"grid_search": [0.9, -1]}, "=-1 must be at least 0"),
        ("backbone.num_registers", {"randint": [0, 70]}, "=69 must be at most 64"),
        ("backbone.num_registers", {"uniform": [0, 8]}, "{uniform: [0, 8]} draws fractions, and it "
         "takes whole numbers; use randint"),
        ("backbone.num_registers", {"choice": [0, 1.5]}, "=1.5 must be a whole number"),
        ("optimizer.name", {"uniform": [0, 1]}, "draws numbers, and the recipe has 'adamw'; use "
         "choice"),
        ("training.compile", {"uniform": [0, 1]}, "draws numbers, and the recipe has false; use"),
        ("training.compile", {"choice": [0, 1]}, "training.compile=0 must be true or false"),
        ("training.compile", {"choice": ["yes"]}, "training.compile='yes' must be true or false"),
        ("objective.teacher_temp", {"choice": ["0.04"]}, "='0.04' must be a number"),
        ("objective.teacher_temp", {"choice": [True]}, "=true must be a number"),
        ("evaluation.image_px", {"uniform": [16, 32]}, "=16.0 must be a whole number"),
        ("data.views.local_scale", {"choice": [["0.05", 0.2]]}, "='0.05' must be a number"),
        ("optimizer.name", {"choice": ["adam"]}, "optimizer.name='adam' must be 'adamw', "
         "'sgd' or 'lars'"),
        ("objective.name", {"choice": ["dino", "mae"]}, "'objective.name' cannot be varied: each "
         "objective has options of its own"),
        ("seed", {"choice": [0, 1]}, "'seed' cannot be varied: `seeds` of the space"),
    ],
)  # fmt: skip
def test_a_value_that_no_trial_could_take_names_file_key_value_and_fix(
    key: str, sampler: dict[str, Any], expected: str
) -> None:
    with pytest.raises(PoiseError, match=re.escape(expected)) as error:
        check_space(make_space({key: sampler}), watched_recipe(), "spaces/a.yaml")
    assert str(error.value).startswith("spaces/a.yaml: parameters")
    assert key in str(error.value)


def masked_recipe() -> Recipe:
    return watched_recipe(
        objective={"name": "mae", "decoder_dim": 32, "decoder_depth": 1},
        data__views__global_count=1,
        data__views__local_count=0,
    )


def test_what_decides_a_masked_autoencoder_can_be_swept() -> None:
    samplers = {
        "objective.mask_ratio": {"uniform": [0.3, 0.9]},
        "objective.decoder_depth": {"randint": [1, 9]},
        "objective.decoder_dim": {"choice": [32, 64]},
        "objective.norm_pix_loss": {"choice": [True, False]},
        "backbone.num_registers": {"choice": [0, 4]},
    }
    check_space(make_space(samplers), masked_recipe(), "a.yaml")
    wrong = make_space({"objective.teacher_temp": {"choice": [0.04]}})
    with pytest.raises(PoiseError, match=r"no option is called 'objective\.teacher_temp'"):
        check_space(wrong, masked_recipe(), "a.yaml")


def test_values_that_fit_together_are_no_matter_of_the_base_recipe() -> None:
    """48 is no multiple of the base's 16 heads, nor does 6 divide its 32; together they fit."""
    together = {
        "objective.decoder_dim": {"choice": [48]},
        "objective.decoder_heads": {"choice": [6]},
    }
    check_space(make_space(together), masked_recipe(), "a.yaml")
    with pytest.raises(PoiseError, match=r"objective\.decoder_dim=46 must be a multiple of 4"):
        check_space(
            make_space({**together, "objective.decoder_dim": {"choice": [46]}}),
            masked_recipe(),
            "a.yaml",
        )


def test_the_high_end_of_randint_is_left_out() -> None:
    spaces = [make_space({"backbone.num_registers": {"randint": [0, high]}}) for high in (65, 66)]
    check_space(spaces[0], watched_recipe(), "a.yaml")
    with pytest.raises(PoiseError, match="num_registers=65 must be at most 64"):
        check_space(spaces[1], watched_recipe(), "a.yaml")


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("knn", "; did you mean 'eval/knn_top1' or 'eval/knn_top5'?"),
        ("rankme", "; did you mean 'eval/rankme' or 'features/rankme'?"),
        ("zzz", ""),
    ],
)
def test_an_unknown_metric_is_answered_with_the_nearest_and_where_all_are_listed(
    written: str, hint: str
) -> None:
    with pytest.raises(PoiseError) as caught:
        check_space(make_space(metric=written), watched_recipe(), "a.yaml")
    assert str(caught.value) == (
        f"a.yaml: metric: no run of this recipe logs '{written}'{hint or ';'} "
        "docs/diagnostics.md lists all metrics"
    )


def test_a_metric_that_no_run_logs_would_stop_no_trial_and_choose_none() -> None:
    with pytest.raises(PoiseError, match=r"'eval/knn_top2'; did you mean 'eval/knn_top"):
        check_space(make_space(metric="eval/knn_top2"), watched_recipe(), "a.yaml")
    with pytest.raises(PoiseError, match="no run of this recipe logs 'teacher/entropy'"):
        check_space(make_space(metric="teacher/entropy", mode="min"), masked_recipe(), "a.yaml")
    ratios = {"objective.mask_ratio": {"choice": [0.5, 0.75]}}
    check_space(make_space(ratios, metric="loss/over_mean_patch"), masked_recipe(), "a.yaml")
    with pytest.raises(PoiseError, match=r"evaluation\.queries names no labelled dataset"):
        check_space(make_space(), tiny_recipe(), "a.yaml")
    check_space(make_space(metric="loss/total", mode="min"), tiny_recipe(), "a.yaml")
    check_space(make_space(metric="eval/rankme"), tiny_recipe(), "a.yaml")
    with pytest.raises(PoiseError, match=r"every_epochs=null switches the probes off"):
        off = tiny_recipe(evaluation__every_epochs=None)
        check_space(make_space(metric="eval/rankme"), off, "a.yaml")


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "median", "pbt"])
def test_a_scheduler_that_would_keep_collapses_for_their_low_loss_is_refused(
    scheduler: str,
) -> None:
    asked: dict[str, Any] = {"metric": "loss/total", "mode": "min"}
    stopping = {"scheduler": {"name": scheduler}}
    with pytest.raises(PoiseError, match=f"by 'loss/total' scheduler {scheduler} would keep the"):
        check_space(make_space(**asked, **stopping), watched_recipe(), "a.yaml")
    check_space(make_space(**asked, searcher={"name": "optuna"}), watched_recipe(), "a.yaml")
    check_space(make_space(metric="eval/rankme", **stopping), watched_recipe(), "a.yaml")
    # What an autoencoder's loss measures is what it is for: none is low by having collapsed.
    ratios = {"objective.mask_ratio": {"choice": [0.5, 0.75]}}
    check_space(make_space(ratios, **asked, **stopping), masked_recipe(), "a.yaml")


def test_a_baseline_is_as_strict_as_the_values_that_vary() -> None:
    parameters = {"objective.teacher_temp": {"uniform": [0.02, 0.1]}}
    space = make_space(parameters, baseline={"objective.teacher_temp": "0.04"})
    with pytest.raises(
        PoiseError, match=r"a\.yaml: baseline: .*teacher_temp='0\.04' must be a num"
    ):
        check_space(space, watched_recipe(), "a.yaml")


@pytest.mark.parametrize(
    ("sampler", "fix"),
    [({"qloguniform": [0.02, 0.1, 0.02]}, "use loguniform"), ({"randn": [0.05, 0.01]}, "uniform")],
)
def test_a_sampler_that_optuna_does_not_have_is_refused(sampler: dict[str, Any], fix: str) -> None:
    space = make_space({"objective.teacher_temp": sampler}, searcher={"name": "optuna"})
    with pytest.raises(PoiseError, match=f"searcher optuna chooses .*{fix}"):
        check_space(space, watched_recipe(), "a.yaml")


def test_repeating_a_grid_and_searching_one_are_refused() -> None:
    grid = {"objective.teacher_temp": {"grid_search": [0.04, 0.07]}}
    with pytest.raises(PoiseError, match="would run the same grid 3 times"):
        check_space(make_space(grid, trials=3), watched_recipe(), "a.yaml")
    with pytest.raises(PoiseError, match="cannot run a grid_search; use choice"):
        check_space(make_space(grid, searcher={"name": "optuna"}), watched_recipe(), "a.yaml")
    with pytest.raises(PoiseError, match="seeds: seed=-1 must be at least 0"):
        check_space(make_space(seeds=[-1]), watched_recipe(), "a.yaml")
