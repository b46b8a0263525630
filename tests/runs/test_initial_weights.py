"""The model that a run starts from: found once, checked, written down, never looked for again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from poise.cli.main import run
from poise.config import PoiseError, Recipe, load_recipe
from poise.models.checksums import read_checksums
from poise.models.package import load_backbone, save_backbone
from poise.runs.folder import begin
from poise.runs.initial_weights import (
    FILE,
    check_same_start,
    check_start,
    find,
    kept_or_found,
    lineage_of,
    read,
    tags_of,
)
from poise.runs.resumption import find_run
from poise.tracking.registry.registration import register_model
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from poise.training.initial_weights import begin_with
from poise.training.loop import new_state
from tests.builders import tiny_masked_recipe, tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset
from tests.packages import save_package

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
LINEAGE = {"run_id": "r1", "recipe": "theirs", "dataset_name": "photographs"}


@pytest.fixture
def package(poise_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained backbone; beside it a dataset and the recipe ``a.yaml``."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "scenes", [encode(smooth_image(i, 24, 20)) for i in range(16)])
    write_recipe("a.yaml", tiny_recipe(data__dataset="scenes"))
    return save_package(tmp_path / "package", normalization=IMAGENET, lineage=LINEAGE)


def write_recipe(path: str, recipe: Recipe) -> None:
    Path(path).write_text(yaml.safe_dump(recipe.model_dump(mode="json")))


def register(package: Path, name: str, seed: int = 0) -> str:
    """Registers the package's backbone; with another seed, one of other weights."""
    backbone, config = load_backbone(package)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(seed)
    save_backbone(package.with_name(f"{name}-{seed}"), backbone, config)
    store = open_store()
    made = create_run(store, "scenes", f"{name}-{seed}", package.with_name("runs") / str(seed))
    return register_model(
        store, package.with_name(f"{name}-{seed}"), name, made.run_id, {"verdict": "healthy"}
    )


Refuses = Callable[[list[str], str], None]


@pytest.fixture
def refuses(capsys: pytest.CaptureFixture[str]) -> Refuses:
    def check(words: list[str], expected: str) -> None:
        assert run(["pretrain", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line, line

    return check


def test_a_run_writes_down_what_it_starts_from_and_its_recipe_names_it_exactly(
    package: Path, poise_home: Path
) -> None:
    recipe, _ = begin("a.yaml", ["backbone.initial_weights=package"], "r")
    assert recipe.backbone.initial_weights == str(package)
    assert load_recipe(poise_home / "r" / "recipe.yaml") == recipe
    start = read(poise_home / "r")
    assert start is not None
    assert start.weights_sha256 == read_checksums(package)["backbone.safetensors"]["sha256"]
    assert start.adapted == ("the head is new and begins at random",)
    assert tags_of(start)["poise.initial_weights_origin"] == (
        "run_id=r1, recipe=theirs, dataset_name=photographs"
    )
    entry = lineage_of(start)["initial_weights"]
    assert entry["lineage"] == LINEAGE and "package" not in entry
    assert json.loads(json.dumps(entry)) == entry | {"adapted": list(start.adapted)}


def test_a_run_from_random_weights_writes_down_nothing(package: Path, poise_home: Path) -> None:
    recipe, _ = begin("a.yaml", [], "r")
    assert recipe.backbone.initial_weights is None
    assert not (poise_home / "r" / FILE).exists() and read(poise_home / "r") is None


@pytest.mark.slow
def test_an_alias_is_resolved_once_and_the_run_goes_on_with_that_version(package: Path) -> None:
    assert register(package, "vit") == "models:/vit/1"
    recipe, _ = begin("a.yaml", ["backbone.initial_weights=models:/vit@candidate"], "r")
    assert recipe.backbone.initial_weights == "models:/vit/1"
    assert register(package, "vit", seed=1) == "models:/vit/2"
    for again in ("models:/vit@candidate", "models:/vit/1", "vit/1"):
        found, _ = find_run("r", "a.yaml", [f"backbone.initial_weights={again}"])
        assert found == recipe
    with pytest.raises(PoiseError) as error:
        find_run("r", "a.yaml", ["backbone.initial_weights=models:/vit/2"])
    assert "begun with another backbone.initial_weights: models:/vit/1 there" in str(error.value)
    with pytest.raises(PoiseError, match="models:/vit/1 there, None here"):
        find_run("r", "a.yaml")


@pytest.mark.slow
def test_a_run_is_found_again_without_the_model_that_it_started_from(package: Path) -> None:
    recipe, _ = begin("a.yaml", ["backbone.initial_weights=package"], "r")
    shutil.rmtree(package)
    assert find_run("r", "a.yaml", ["backbone.initial_weights=package"])[0] == recipe
    assert find_run("r", None)[0] == recipe


@pytest.mark.slow
def test_a_package_that_was_replaced_before_the_first_checkpoint_is_refused(
    package: Path, poise_home: Path
) -> None:
    recipe, _ = begin("a.yaml", ["backbone.initial_weights=package"], "r")
    start = read(poise_home / "r")
    assert start is not None
    state = new_state(recipe, torch.device("cpu"))
    begin_with(state.objective, start)
    backbone, config = load_backbone(package)
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    save_backbone(package, backbone, config)
    with pytest.raises(PoiseError, match="are not those that the run was begun with"):
        begin_with(state.objective, start)


@pytest.mark.parametrize("build", [tiny_recipe, tiny_masked_recipe], ids=["dino", "mae"])
def test_what_is_kept_and_what_is_trained_start_from_the_same_weights(
    package: Path, build: Callable[..., Recipe]
) -> None:
    recipe = build(data__dataset="scenes", backbone__initial_weights=str(package))
    recipe = recipe.model_copy(update={"seed": 1})  # the package has what seed 0 draws
    trained, _ = load_backbone(package)
    start = find(recipe)
    assert start is not None
    fresh, state = (new_state(recipe, torch.device("cpu")) for _ in range(2))
    begin_with(state.objective, start)
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = trained(images)
        assert torch.equal(state.objective.backbone.eval()(images), expected)
        student: Any = getattr(state.objective, "student", None)
        if student is not None:
            assert torch.equal(student.backbone.eval()(images), expected)
    # Head or decoder are those of a run from random weights with the same seed.
    theirs, ours = fresh.objective.state_dict(), state.objective.state_dict()
    changed = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert changed and all("backbone.timm_model" in name for name in changed)


@pytest.mark.slow
def test_the_option_is_short_for_the_setting(
    package: Path, refuses: Refuses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poise.cluster.connection.start_ray_early", lambda: None)
    refuses(
        ["a.yaml", "--from", "package", "backbone.initial_weights=other"],
        "'backbone.initial_weights' is given twice, as 'other' and as 'package'; keep one",
    )
    refuses(["--from", "package"], "name a recipe to start or, with --resume, a run to finish")
    refuses(
        ["a.yaml", "--from", "nothing"],
        "backbone.initial_weights=nothing: no model is called 'nothing'; nothing is registered "
        "yet; nor is it a folder; see `poise models list`",
    )
    refuses(
        ["a.yaml", "--from", "a.yaml"],
        "backbone.initial_weights=a.yaml: is a file; register it with `poise models import a.yaml`",
    )
    refuses(["a.yaml", "--from", "scenes"], "scenes: not a backbone package (no checksums.json)")
    refuses(
        ["a.yaml", "--from", "package", "backbone.options.depth=3"],
        "the number of blocks (depth) is 2 there and 3 in the recipe; take over its architecture "
        "with backbone.name=vit_tiny_patch16_224 ",
    )


def test_another_normalisation_is_refused_with_the_setting_that_fits(
    package: Path, tmp_path: Path, poise_home: Path
) -> None:
    save_package(tmp_path / "other")  # mean 0.5, std 0.25
    with pytest.raises(PoiseError) as error:
        begin("a.yaml", ["backbone.initial_weights=other"], "r")
    message = str(error.value)
    assert "was trained with mean [0.5, 0.5, 0.5] and std [0.25, 0.25, 0.25], and " in message
    setting = "data.views.normalization=[[0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]"
    assert message.endswith(f"set '{setting}'")
    recipe, _ = begin("a.yaml", ["backbone.initial_weights=other", setting], "r")
    assert recipe.data.views.normalization == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert load_recipe(poise_home / "r" / "recipe.yaml") == recipe


def test_a_model_with_a_register_that_was_added_without_training_is_refused(
    package: Path, tmp_path: Path
) -> None:
    # The run would train the model without its register, and its lineage would not say so.
    neurons = {"neurons": [[0, 1]]}
    save_package(tmp_path / "added", normalization=IMAGENET, added_register=neurons)
    with pytest.raises(PoiseError, match="has a register that was added without training"):
        begin("a.yaml", ["backbone.initial_weights=added"], "r")


@pytest.mark.slow
def test_a_study_refuses_a_name_that_may_move(package: Path) -> None:
    register(package, "vit")
    for moving in ("models:/vit@candidate", "models:/vit", "vit"):
        recipe = tiny_recipe(data__dataset="scenes", backbone__initial_weights=moving)
        with pytest.raises(PoiseError, match=f"s.yaml: .*={moving}: .* write models:/vit/1, which"):
            check_start(recipe, "s.yaml")
    for exact in ("models:/vit/1", "vit/1", str(package), None):
        check_start(tiny_recipe(data__dataset="scenes", backbone__initial_weights=exact), "s.yaml")


def test_a_probe_names_its_model_elsewhere(package: Path) -> None:
    views = tiny_masked_recipe().data.views.model_dump(mode="json")
    with pytest.raises(ValueError, match=r"leave\s+backbone.initial_weights out"):
        tiny_masked_recipe(
            data__views=views,
            objective={"name": "probe", "model": "package"},
            backbone__initial_weights="package",
        )


def test_trials_of_a_study_start_from_one_model_that_is_not_replaced(
    package: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(data__dataset="scenes", backbone__initial_weights=str(package))
    for trial in ("t01-s0", "t01-s1", "t01-s0"):
        check_same_start(recipe, tmp_path / "study" / trial)
        assert kept_or_found(recipe, tmp_path / "study" / trial) is not None
    check_same_start(tiny_recipe(data__dataset="scenes"), tmp_path / "study" / "t02-s0")
    backbone, config = load_backbone(package)
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    save_backbone(package, backbone, config)
    with pytest.raises(PoiseError, match=r"are not those that trial t01-s\d started from"):
        check_same_start(recipe, tmp_path / "study" / "t01-s2")
    check_same_start(recipe, tmp_path / "study" / "t01-s1")  # it has its start already
