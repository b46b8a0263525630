"""What a run is resumed on: the images that it began with, and no others."""

from pathlib import Path

import pytest
import torch

from poise.config import PoiseError
from poise.training.checkpoint import load_checkpoint, read_run, save_checkpoint
from poise.training.datasets import check_unchanged, fingerprints
from poise.training.loop import TrainingState, new_state
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset

CPU = torch.device("cpu")


def write(folder: Path, first: int) -> str:
    """A dataset of 16 images; another first one makes another dataset. Its fingerprint."""
    images = [encode(smooth_image(first + index, 24, 20)) for index in range(16)]
    return write_dataset(folder, images).fingerprint


def test_every_dataset_that_a_run_reads_has_a_fingerprint(tmp_path: Path) -> None:
    sets = {str(tmp_path / name): write(tmp_path / name, n) for n, name in enumerate("abc")}
    train, bank, queries = sets
    evaluation = {"queries": queries, "bank": bank}
    recipe = tiny_recipe(data__dataset=train, evaluation=evaluation)
    assert fingerprints(recipe) == sets
    unwatched = tiny_recipe(data__dataset=train, evaluation=evaluation | {"every_epochs": None})
    assert fingerprints(unwatched) == {train: sets[train]}


def test_a_dataset_that_was_replaced_is_refused_with_both_fingerprints_and_the_way_out() -> None:
    before, now = {"a": "1" * 64, "b": "2" * 64}, {"a": "1" * 64, "b": "3" * 64, "c": "4" * 64}
    with pytest.raises(PoiseError) as refused:
        check_unchanged("run r", before, now)
    message = str(refused.value)
    assert message.startswith("b: its images or labels are not those that run r began with")
    assert "222222222222 then, 333333333333 now" in message
    check_unchanged("run r", {}, now)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, TrainingState]:
    """A checkpoint of a run on the dataset ``there``."""
    write(tmp_path / "there", 0)
    recipe = tiny_recipe(data__dataset=str(tmp_path / "there"))
    state = new_state(recipe, CPU)
    history = [(2, {"loss/total": 1.0})]
    save_checkpoint(tmp_path / "checkpoint", state, recipe, history, fingerprints(recipe))
    return tmp_path, state


def test_a_checkpoint_is_not_loaded_for_a_dataset_that_was_replaced(
    saved: tuple[Path, TrainingState],
) -> None:
    # It went on with the new images, and 160 steps became 240.
    folder, state = saved
    recipe = tiny_recipe(data__dataset=str(folder / "there"))
    assert load_checkpoint(folder / "checkpoint", state, recipe)
    assert list(read_run(folder / "checkpoint")["datasets"]) == [str(folder / "there")]
    write(folder / "there", 1)
    with pytest.raises(PoiseError, match="there: its images or labels are not those that the run"):
        load_checkpoint(folder / "checkpoint", state, recipe)


def test_a_dataset_that_was_moved_is_the_same_dataset(saved: tuple[Path, TrainingState]) -> None:
    folder, state = saved
    (folder / "there").rename(folder / "here")
    moved = tiny_recipe(data__dataset=str(folder / "here"))
    assert load_checkpoint(folder / "checkpoint", state, moved)
    write(folder / "here", 1)
    with pytest.raises(PoiseError, match=r"another recipe \(data.dataset: "):
        load_checkpoint(folder / "checkpoint", state, moved)


def test_a_checkpoint_that_may_have_another_dataset_takes_it(
    saved: tuple[Path, TrainingState],
) -> None:
    folder, state = saved
    write(folder / "other", 1)
    other = tiny_recipe(data__dataset=str(folder / "other"))
    assert load_checkpoint(folder / "checkpoint", state, other, ["data.dataset"])
