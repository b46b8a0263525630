"""A run goes on in the order of samples that it began with, or not at all."""

import errno
import json
from pathlib import Path

import pytest
import torch

from poise.config import PoiseError, Recipe
from poise.config.locations import AnyLocation
from poise.data.manifest import Manifest
from poise.data.stream import plan as plans
from poise.training.checkpoint import RUN_FILE, load_checkpoint, read_run, save_checkpoint
from poise.training.datasets import fingerprints
from poise.training.loop import TrainingState, new_state
from poise.training.sample_order_check import sample_order
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset

IMAGES = [encode(smooth_image(index, 24, 20)) for index in range(40)]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    write_dataset(tmp_path / "images", IMAGES, rows_per_group=4, rows_per_shard=20)
    return tiny_recipe(data__dataset=str(tmp_path / "images"))


@pytest.fixture
def state(recipe: Recipe) -> TrainingState:
    return new_state(recipe, torch.device("cpu"))


def saved(folder: Path, recipe: Recipe, state: TrainingState) -> Path:
    """A checkpoint of a run of this version."""
    history = [(1, {"loss/total": 1.0})]
    save_checkpoint(folder, state, recipe, history, fingerprints(recipe), sample_order(recipe))
    return folder


def made_by_an_older_version(checkpoint: Path) -> Path:
    """Takes the order out of a checkpoint."""
    run = json.loads((checkpoint / RUN_FILE).read_text())
    del run["sample_order"]
    (checkpoint / RUN_FILE).write_text(json.dumps(run))
    return checkpoint


def test_a_run_goes_on_in_its_own_order(
    tmp_path: Path, recipe: Recipe, state: TrainingState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MAX_WINDOW_SAMPLES", 16)
    checkpoint = saved(tmp_path / "checkpoint", recipe, state)
    assert read_run(checkpoint)["sample_order"].startswith("4 lanes of 1 row groups, layout ")
    assert load_checkpoint(checkpoint, state, recipe)


def test_the_same_images_in_other_row_groups_are_refused(
    tmp_path: Path, recipe: Recipe, state: TrainingState
) -> None:
    checkpoint = saved(tmp_path / "checkpoint", recipe, state)
    write_dataset(tmp_path / "images", IMAGES, rows_per_group=5, rows_per_shard=20)
    with pytest.raises(PoiseError, match=r"checkpoint: the images .* read in another order \(1 "):
        load_checkpoint(checkpoint, state, recipe)


def test_a_checkpoint_of_an_older_version_is_refused_where_the_order_changed(
    tmp_path: Path, recipe: Recipe, state: TrainingState, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = made_by_an_older_version(saved(tmp_path / "checkpoint", recipe, state))
    assert load_checkpoint(checkpoint, state, recipe), "a small dataset has the order it always had"
    monkeypatch.setattr(plans, "MAX_WINDOW_SAMPLES", 16)
    with pytest.raises(PoiseError, match=r"an older version of Poise .*with that version"):
        load_checkpoint(checkpoint, state, recipe)


def test_a_run_that_starts_from_another_one_brings_its_own_order(
    tmp_path: Path, recipe: Recipe, state: TrainingState, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = made_by_an_older_version(saved(tmp_path / "checkpoint", recipe, state))
    monkeypatch.setattr(plans, "MAX_WINDOW_SAMPLES", 16)
    assert load_checkpoint(checkpoint, state, recipe, ["seed"])


def test_the_order_is_read_again_while_the_storage_fails(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run whose network drive was mounted again ended, although it waits for its other reads.
    read, calls = Manifest.read, 0

    def fails_once(folder: AnyLocation) -> Manifest:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(folder)

    monkeypatch.setattr(Manifest, "read", fails_once)
    training = recipe.training.model_copy(update={"storage_patience_minutes": 0.0001})
    assert sample_order(recipe.model_copy(update={"training": training})).startswith("1 lanes of ")
    assert calls == 2
