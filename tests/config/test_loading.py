import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError, Recipe, load_recipe, load_space, override
from poise.config.loading import read_yaml
from poise.config.objectives import DinoConfig, MaeConfig
from tests.builders import tiny_recipe


def write(folder: Path, text: str) -> Path:
    path = folder / "file.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("objective: {teacher_tmp: 0.1}", [], "{path}: no option is called 'objective.teacher_tmp'"
         "; did you mean 'objective.teacher_temp'?"),
        ("objective: {teacher_momentum: 1.2}", [], "{path}: "
         "objective.teacher_momentum=1.2 must be at most 1"),
        ("training: {epochs: 5}", [], "{path}: optimizer.warmup_epochs=10.0 is longer than "
         "training.epochs=5"),
        ("", ["objective.teacher_tmp=1"], "command line: no option is called "
         "'objective.teacher_tmp'; did you mean 'objective.teacher_temp'?"),
        ("", ["objective.teacher_momentum=1.2"], "command line: "
         "objective.teacher_momentum=1.2 must be at most 1"),
        ("", ["training.epochs=5"], "command line: optimizer.warmup_epochs=10.0 is longer than "
         "training.epochs=5"),
        ("", ["training={epochs: x}"], "command line: training.epochs='x' must be a whole "
         "number"),
        ("", ["optimizer.name=adam"], "command line: optimizer.name='adam' must be 'adamw', 'sgd' "
         "or 'lars'"),
        ("", ["training.compile=maybe"], "command line: training.compile='maybe' must be true or "
         "false"),
        ("", ["optimizer.betas=[0.9]"], "command line: optimizer.betas=[0.9] must be at least 2 "
         "values"),
        ("", ["training=3"], "command line: training=3 must be a group of options"),
        ("", ["data.dataset=null"], "command line: data.dataset=null must be text"),
        ("", ["name=a/b"], "command line: name='a/b' must be at most 100 letters, digits "
         "and '.', '_', '-', beginning with a letter or a digit"),
        ("", [f"name={'a' * 101}"], f"command line: name='{'a' * 58}… must be at most 100 letters, "
         "digits and '.', '_', '-', beginning with a letter or a digit"),
        ("", ["backbone.options.mlp_ratio=.nan"], "command line: backbone.options.mlp_ratio=nan "
         "must be a finite number"),
        ("", [f"seed={'9' * 99}"], f"command line: seed={'9' * 59}… must be below 2147483648"),
        ("", ["training.epochs=2", "training.epochs=3"], "command line: 'training.epochs' is given "
         "twice, as 2 and as 3; keep one"),
        ("", ["training={epochs: 3}", "training.epochs=2"], "command line: 'training.epochs' is a "
         "part of 'training', which is given too; keep one"),
        ("", ["backbone.options.depth=2", "backbone.options={depth: 3}"], "command line: "
         "'backbone.options.depth' is a part of 'backbone.options', which is given too; keep one"),
        ("", ["training.epochs=1:30"], "command line: training.epochs='1:30' must be a whole "
         "number"),
        ("", ["training.epochs='30'"], "command line: training.epochs='30' must be a whole number"),
        ("", ["training.epochs=true"], "command line: training.epochs=true must be a whole number"),
        ("", ["training.epochs=20.0"], "command line: training.epochs=20.0 must be a whole number"),
        ("", ["training.compile=yes"], "command line: training.compile='yes' must be true or "
         "false"),
        ("", ["training.compile=1"], "command line: training.compile=1 must be true or false"),
        ("", ["optimizer.betas=['0.9', 0.99]"], "command line: optimizer.betas.0='0.9' must be a "
         "number"),
        ("", ["seed=[1"], "command line: the value of 'seed=[1' is not valid YAML: expected ',' or "
         "']', but got '<stream end>'"),
        ("", [f"seed={'[' * 2000}"], f"command line: the value of 'seed={'[' * 53}… is not valid "
         "YAML: more than 40 lists and groups inside each other"),
        ("optimizer: {base_lr: yes}", [], "{path}: optimizer.base_lr='yes' must be a number"),
        ("training: {epochs: 0100, batch_size: on}", [], "{path}: training.batch_size='on' must be "
         "a whole number"),
        ("", ["epochs"], "command line: 'epochs' is not of the form key=value"),
        ("", ["seed.low=1"], "command line: seed={{'low': 1}} must be a whole number"),
        ("objective: {teacher_temp: 0, student_temp: 0}", [], "{path}: objective.student_temp=0 "
         "must be above 0 (and 1 more)"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_line_with_source_key_value_and_fix(
    text: str, overrides: list[str], expected: str, tmp_path: Path
) -> None:
    path = write(tmp_path, f"name: a\ndata: {{dataset: here}}\n{text}\n")
    with pytest.raises(PoiseError) as error:
        load_recipe(path, overrides)
    assert str(error.value) == expected.format(path=path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "no such file"),
        ("a: [1", "not valid YAML"),
        ("- a", "expected a mapping of options, found a list"),
        ("", "expected a mapping of options, found nothing"),
        ("[" * 2000, "line 1: more than 40 lists and groups inside each other"),
    ],
)
def test_a_file_that_is_no_mapping_says_so(text: str | None, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yaml" if text is None else write(tmp_path, text)
    with pytest.raises(PoiseError, match=expected) as error:
        load_recipe(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("load", [load_recipe, load_space])
def test_a_key_that_is_given_twice_is_no_setting_that_silently_wins(
    load: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = write(tmp_path, "name: a\nseeds: [0, 1, 2]\nmetric: eval/rankme\nseeds: [5]\n")
    with pytest.raises(PoiseError) as error:
        load(path)
    assert str(error.value) == (
        f"{path}: not valid YAML: line 4: 'seeds' is given twice, first in line 2; keep one"
    )
    nested = write(tmp_path, "training:\n  epochs: 1\n  epochs: 2\n")
    with pytest.raises(PoiseError, match="line 3: 'epochs' is given twice, first in line 2"):
        load(nested)


def test_a_group_may_change_what_it_takes_over_from_another(tmp_path: Path) -> None:
    path = write(tmp_path, "one: &one {a: 1, b: 2}\ntwo: {<<: *one, b: 3}\n")
    assert read_yaml(path)["two"] == {"a": 1, "b": 3}


MAE = "objective: {name: mae}\ndata: {dataset: here, views: {global_count: 1, local_count: 0}}"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["objective.mask_ration=0.5"], "command line: no option is called "
         "'objective.mask_ration'; did you mean 'objective.mask_ratio'?"),
        (["objective.teacher_temp=0.1"], "command line: no option is called "
         "'objective.teacher_temp'; did you mean "),
        (["objective.mask_ratio=1"], "command line: objective.mask_ratio=1 must be below 1"),
        (["objective.decoder_heads=3"], "command line: objective.decoder_dim=512 must be a "
         "multiple of objective.decoder_heads=3"),
        (["objective.name=moe"], "command line: 'objective.name': there is no 'moe'; there are "
         "dino, mae"),
        (["data.views.global_count=2"], "command line: objective mae reconstructs one view per "
         "image: set data.views.global_count=1 and data.views.local_count=0, got 2 and 0"),
    ],
)  # fmt: skip
def test_a_recipes_own_objective_decides_which_settings_there_are(
    overrides: list[str], expected: str, tmp_path: Path
) -> None:
    path = write(tmp_path, f"name: a\n{MAE}\n")
    assert load_recipe(path).objective == MaeConfig()
    with pytest.raises(PoiseError) as error:
        load_recipe(path, overrides)
    message = str(error.value)
    assert message.startswith(expected)
    assert not re.search(r"did you mean 'objective\.(teacher|student|center)", message)


def test_a_recipe_that_does_not_name_its_objective_means_the_first(tmp_path: Path) -> None:
    path = write(tmp_path, "name: a\ndata: {dataset: here}\nobjective: {teacher_temp: 0.05}\n")
    assert load_recipe(path).objective == DinoConfig(teacher_temp=0.05)
    recipe = load_recipe(path)
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_a_missing_file_names_the_nearest_or_all_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pipelines/recipes/dino_scenes.yaml", "pipelines/recipes/mae.yaml", "mine.yaml"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    for missing, hint in (
        ("dino_scene", "; did you mean 'pipelines/recipes/dino_scenes.yaml'?"),
        ("recipes/dino_scenes.yaml", "; did you mean 'pipelines/recipes/dino_scenes.yaml'?"),
        ("mien.yaml", "; did you mean 'mine.yaml'?"),
        ("zzz", "; pipelines/recipes holds dino_scenes.yaml, mae.yaml"),
    ):
        with pytest.raises(PoiseError) as error:
            load_recipe(missing)
        assert str(error.value) == f"{missing}: no such file{hint}"
    with pytest.raises(PoiseError, match=r"^zzz: no such file$"):
        load_space("zzz")


def test_overrides_change_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, "name: a\ndata: {dataset: here}\ntraining: {epochs: 20}\n")
    changed = load_recipe(path, ["training.batch_size=64", "backbone.options.depth=2"])
    assert (changed.training.epochs, changed.training.batch_size) == (20, 64)
    assert changed.backbone.options == {"depth": 2}
    assert override(load_recipe(path), {"training.batch_size": 64}, "here").training.epochs == 20


def test_an_override_of_a_recipe_names_the_nearest_option() -> None:
    with pytest.raises(PoiseError, match=r"did you mean 'backbone\.num_registers'"):
        override(tiny_recipe(), {"backbone.num_register": 4}, "here")


def test_a_parameter_of_a_space_is_overridden_by_its_whole_key(tmp_path: Path) -> None:
    path = write(
        tmp_path, "name: a\nrecipe: b\nparameters: {objective.teacher_temp: {choice: [0.04]}}\n"
    )
    key = "parameters.objective.center_momentum"
    space = load_space(path, [f"{key}={{uniform: [0.5, 1]}}", "trials=3"])
    assert space.trials == 3
    assert list(space.parameters) == ["objective.teacher_temp", "objective.center_momentum"]
    with pytest.raises(PoiseError, match=r"^command line: 'objective.center_momentum': Ray Tune"):
        load_space(path, [f"{key}={{unifrom: [0.5, 1]}}"])


def test_an_override_fills_a_group_that_was_left_empty(tmp_path: Path) -> None:
    # `parameters:` with nothing under it is null in YAML; filling it once was a TypeError.
    path = write(tmp_path, "name: a\nrecipe: b\nparameters:\n")
    space = load_space(path, ["parameters.training.epochs={choice: [20, 30]}"])
    assert space.parameters["training.epochs"].values == (20, 30)
    path = write(tmp_path, "name: a\ndata: {dataset: here}\ntraining:\n")
    assert load_recipe(path, ["training.epochs=20"]).training.epochs == 20
    path = write(tmp_path, "name: a\nrecipe: b\nparameters: 3\n")
    with pytest.raises(PoiseError, match="'parameters' is a value, not a group of options"):
        load_space(path, ["parameters.training.epochs={choice: [20]}"])


@pytest.mark.parametrize("written", ["1e-4", "1.0e-4", "+1E-4", "0.0001"])
def test_a_number_in_scientific_notation_is_a_number(written: str, tmp_path: Path) -> None:
    # YAML 1.1 reads `1e-4` as text, and a space then said that it wanted numbers.
    sampler = f"{{loguniform: [{written}, 1e-2]}}"
    path = write(tmp_path, f"name: a\nrecipe: b\nparameters: {{optimizer.base_lr: {sampler}}}")
    assert load_space(path).parameters["optimizer.base_lr"].arguments == (1e-4, 1e-2)
    overridden = load_space(path, [f"parameters.optimizer.base_lr={sampler}"])
    assert overridden == load_space(path)


def test_a_recipe_below_the_home_folder_is_found_where_no_shell_expands_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "name: a\ndata: {dataset: b}")
    assert load_recipe("~/file.yaml").name == "a"


@pytest.mark.parametrize(
    ("path", "message"),
    [("a" * 5000, "cannot be read: File name too long"), ("~nobody-x/a.yaml", "no home folder")],
)
def test_a_path_that_no_file_can_have_is_one_line(path: str, message: str) -> None:
    with pytest.raises(PoiseError, match=message):
        load_recipe(path)
