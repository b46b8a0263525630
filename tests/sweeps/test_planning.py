import json
import re
import shlex
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from poise.studies.study import load_study
from poise.sweeps.planning import begin_study, request_study
from tests.packages import save_package
from tests.studies.builders import TEMPERATURE


def test_an_override_goes_to_the_space_or_to_its_recipe(space_file: Path) -> None:
    study = begin_study(str(space_file), ["concurrency=1", "training.epochs=3"], "a")
    assert (study.space.concurrency, study.recipe.training.epochs) == (1, 3)
    for wrong, message in (
        ("trails=3", "command line: no option is called 'trails'; did you mean 'trials'?"),
        ("training.epoch=3", "command line: no option is called 'training.epoch'; did you mean"),
        (f"{TEMPERATURE}=0.05", f"'{TEMPERATURE}': '{TEMPERATURE}' varies in {space_file}; fix it"),
        ("concurrency=0", "command line: concurrency=0 must be at least 1"),
        ("seed=1", "seed=1: a study runs each setting with every one of its `seeds`; did you mean "
         "seeds=[1]?"),
        ("metric=eval/knn_top", f"{space_file} metric=eval/knn_top: metric: no run of"),
        ("training.batch_size=64", "training.batch_size=64 is more than the 18 images"),
    ):  # fmt: skip
        with pytest.raises(PoiseError, match=re.escape(message)):
            begin_study(str(space_file), [wrong])


@pytest.mark.parametrize(
    ("varied", "typed"),
    [
        ("backbone.options.depth", "backbone.options={embed_dim: 24}"),
        ("backbone.options", "backbone.options.depth=2"),
    ],
)
def test_a_setting_that_holds_or_is_part_of_one_that_varies_is_not_changed_beside_it(
    varied: str, typed: str, space_file: Path
) -> None:
    values = "[{depth: 1}, {depth: 2}]" if varied == "backbone.options" else "[1, 2]"
    words = [f"parameters.{varied}={{choice: {values}}}", typed]
    with pytest.raises(PoiseError, match=re.escape(f"'{varied}' varies in {space_file}; fix it")):
        request_study(str(space_file), words)


def test_a_recipe_that_is_typed_is_found_from_here_and_from_the_spaces_folder(
    space_file: Path,
) -> None:
    folder = space_file.parent / "spaces"
    folder.mkdir()
    moved = space_file.rename(folder / "two.yaml")
    for typed in ("recipe.yaml", "../recipe.yaml"):
        assert request_study(str(moved), [f"recipe={typed}"], "a").recipe.name == "tiny"
    with pytest.raises(PoiseError, match=re.escape("spaces/recipe.yaml: no such file")):
        request_study(str(moved))  # what a file says is meant from the file


def test_a_misspelt_key_is_named_before_what_is_missing_for_it(space_file: Path) -> None:
    space_file.write_text(space_file.read_text().replace("parameters:", "parameter:"))
    with pytest.raises(PoiseError, match=r"'parameter'.*did you mean 'parameters'"):
        request_study(str(space_file))


def test_settings_that_no_trial_could_have_at_once_are_refused_before_the_first(
    space_file: Path,
) -> None:
    epochs = "parameters.training.epochs={choice: [2, 20]}"
    warmup = "parameters.optimizer.warmup_epochs={grid_search: [1, 9]}"
    with pytest.raises(PoiseError, match=r"warmup_epochs=9.0 is longer than training.epochs=2"):
        begin_study(str(space_file), [epochs, warmup, "trials=2"], "a")
    begin_study(str(space_file), [epochs.replace("2, ", ""), warmup], "b")


def test_a_name_is_taken_once(space_file: Path) -> None:
    begin_study(str(space_file), name="a")
    with pytest.raises(PoiseError, match="poise sweep --resume a`, or choose another --name"):
        begin_study(str(space_file), name="a")


def test_a_request_leaves_nothing_behind_until_it_is_saved(space_file: Path) -> None:
    study = request_study(str(space_file), name="a")
    assert not study.folder.exists()
    study.save()
    assert load_study(study.folder) == study


def test_what_an_ablation_cannot_run_is_answered_with_a_command_that_can(space_file: Path) -> None:
    folder = space_file.with_name("my spaces")
    folder.mkdir()
    path = folder / space_file.name
    path.write_text(space_file.read_text().replace("recipe.yaml", "../recipe.yaml"))
    drawn = f"parameters.{TEMPERATURE}={{uniform: [0.04, 0.07]}}"
    for changes in (["scheduler.name=asha", "training.epochs=2"], [drawn]):
        with pytest.raises(PoiseError) as error:
            request_study(str(path), changes, command="ablate")
        (advice,) = re.findall(r"`(poise sweep .*)`", str(error.value))
        _, _, *words = shlex.split(advice)
        assert words == [str(path), *changes]
        assert request_study(words[0], words[1:], command="sweep").command == "sweep"


@pytest.mark.parametrize(
    "changes",
    [
        ["scheduler.name=asha"],
        [f"parameters.{TEMPERATURE}={{uniform: [0.04, 0.07]}}"],
        ["design=one_at_a_time", "scheduler.name=asha", "question=Which one wins?"],
    ],
)
def test_a_sweep_that_is_advised_in_place_of_one_change_at_a_time_runs(
    space_file: Path, changes: list[str]
) -> None:
    # It kept the space's design, for which a sweep was refused with the advice to ablate.
    space_file.write_text(space_file.read_text() + "design: one_at_a_time\n")
    with pytest.raises(PoiseError) as error:
        request_study(str(space_file), changes, command="ablate")
    (advice,) = re.findall(r"`poise sweep (.*)`", str(error.value))
    path, *words = shlex.split(advice)
    assert request_study(path, words, command="sweep").space.design == "crossed"


def test_an_ablation_that_is_advised_in_place_of_a_sweep_runs(space_file: Path) -> None:
    changes = ["design=one_at_a_time", "training.epochs=3"]
    with pytest.raises(PoiseError, match="say design=crossed, or run") as error:
        request_study(str(space_file), changes)
    (advice,) = re.findall(r"`poise ablate (.*)`", str(error.value))
    path, *words = shlex.split(advice)
    assert (path, words) == (str(space_file), changes)
    assert request_study(path, words, command="ablate").recipe.training.epochs == 3


def test_an_ablation_refuses_what_would_not_compare_every_setting_alike(space_file: Path) -> None:
    for change, message in (
        ("scheduler.name=asha", "scheduler.name=asha: an ablation runs every setting once"),
        ("searcher.name=optuna", "searcher.name=optuna: an ablation runs"),
        (f"parameters.{TEMPERATURE}={{choice: [0.05, 0.07]}}", "baseline: the recipe's own "
         f"{TEMPERATURE}=0.04 is none of [0.05, 0.07]; add it, or name another: "
         f"baseline.{TEMPERATURE}=0.05"),
    ):  # fmt: skip
        grid = [f"parameters.{TEMPERATURE}={{choice: [0.04, 0.07]}}"]
        words = [*(grid if "parameters" not in change else []), change]
        with pytest.raises(PoiseError, match=re.escape(message)):
            begin_study(str(space_file), words, command="ablate")
    with pytest.raises(PoiseError, match=r"one_at_a_time: a sweep draws .*`poise ablate "):
        begin_study(str(space_file), ["design=one_at_a_time"])
    values = f"parameters.{TEMPERATURE}={{choice: [0.05, 0.07]}}"
    named = f"baseline.{TEMPERATURE}=0.07"
    study = begin_study(str(space_file), [values, named], command="ablate")
    assert study.baseline == {TEMPERATURE: 0.07}


def test_a_channel_that_does_not_vary_refuses_the_study_and_any_setting_that_divides_by_it(
    space_file: Path,
) -> None:
    file = space_file.parent / "train" / "manifest.json"
    manifest = json.loads(file.read_text()) | {"channel_std": [0.2, 0, 0.2]}
    file.write_text(json.dumps(manifest))
    varied = "parameters.data.views.normalization={grid_search: [imagenet, dataset]}"
    for wrong in ("data.views.normalization=dataset", varied):
        with pytest.raises(PoiseError, match="the green channel of dataset 'train' does not vary"):
            begin_study(str(space_file), [wrong])
    begin_study(str(space_file), ["data.views.normalization=imagenet"])


@pytest.mark.slow
def test_a_space_may_compare_random_weights_with_those_of_models(space_file: Path) -> None:
    key, imagenet = "backbone.initial_weights", {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    for name, registers in (("fits", 0), ("holds_registers", 2)):
        save_package(space_file.parent / name, num_registers=registers, normalization=imagenet)

    def settings(*models: str | None) -> list[object]:
        values = json.dumps(models)
        study = request_study(
            str(space_file), [f"parameters.{key}={{grid_search: {values}}}"], command="ablate"
        )
        return [trial.recipe(study.recipe, "s").backbone.initial_weights for trial in study.trials]

    fits = str(space_file.parent / "fits")
    assert settings(None, "fits") == [None, fits] * 2
    with pytest.raises(PoiseError, match="has 2 registers and the recipe 0"):
        settings(None, "fits", "holds_registers")
