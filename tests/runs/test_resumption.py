"""A run is found again, with the datasets that it began with."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from poise.cli.main import run
from poise.config import PoiseError
from poise.config.paths import RECIPE_FILE, home
from poise.data.manifest import MANIFEST_FILE
from poise.runs.folder import RUN_FILE, begin
from poise.runs.probing import ProbePlan, keep_plan, read_plan
from poise.runs.resumption import find_run
from tests.builders import tiny_recipe
from tests.training.test_datasets import write


@pytest.fixture
def recipe_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe whose training, bank and query sets are there."""
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("train", "bank", "queries")):
        write(tmp_path / name, 100 * number)
    probes = {"bank": "bank", "queries": "queries"}
    recipe = tiny_recipe(data__dataset="train", evaluation=probes)
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    return "recipe.yaml"


@pytest.mark.parametrize("replaced", ["train", "bank", "queries"])
@pytest.mark.parametrize("words", [["r"], ["recipe.yaml"], ["recipe.yaml", "--name", "r"]])
def test_a_run_whose_dataset_was_replaced_is_not_resumed(
    recipe_file: str, replaced: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    begin(recipe_file, [], "r")
    write(Path(replaced), 500)
    assert run(["pretrain", "--resume", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {Path(replaced).absolute()}: its images or labels are not")
    assert "that run r began with (fingerprint " in line


@pytest.mark.parametrize("edited", ["train", "bank", "queries"])
def test_a_run_with_a_shard_that_was_edited_is_neither_begun_nor_resumed(
    recipe_file: str, edited: str
) -> None:
    # The manifest kept the fingerprint of the images before the change.
    shard = Path(edited).absolute() / "shard-00000.parquet"
    content = shard.read_bytes()
    begin(recipe_file, [], "r")
    later = (shard.parent / MANIFEST_FILE).stat().st_mtime + 5
    shard.write_bytes(content)
    os.utime(shard, (later, later))
    find_run("r", None)  # a copy of the folder may be newer too
    shard.write_bytes(content + b"x")
    os.utime(shard, (later, later))
    resumptions: list[Callable[[], object]] = [
        lambda: find_run("r", None),
        lambda: begin(recipe_file, [], "another"),
    ]
    for resume in resumptions:
        with pytest.raises(PoiseError, match=r"shard-00000.parquet: was changed since .* now\)"):
            resume()


DAMAGED = (b"", b'{"datas', b"\xff\x00", b"null", b"[1]", b"{}", b'{"datasets": 3}', b"[" * 5000)


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_of_a_run_is_one_line_with_the_way_on(
    recipe_file: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    # A truncated file named no way on, and another JSON was a traceback.
    begin(recipe_file, [], "r")
    path = home() / "r" / RUN_FILE
    path.write_bytes(content)
    assert run(["pretrain", "--resume", "r"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: is damaged") and f"`rm {path}` lets the run go" in line
    path.unlink()
    find_run("r", None)


@pytest.mark.parametrize("content", [b"[1]", b"\xff\x00", b"name: [", b""])
def test_a_damaged_recipe_of_another_run_does_not_hide_the_latest(
    recipe_file: str, content: bytes
) -> None:
    begin(recipe_file, [], "r")
    begin(recipe_file, [], "damaged")
    (home() / "damaged" / RECIPE_FILE).write_bytes(content)
    assert find_run(None, recipe_file)[1] == "r"
    (home() / "r" / RECIPE_FILE).write_bytes(content)
    with pytest.raises(
        PoiseError, match=r"no unfinished run of tiny: there is none \(cannot be re"
    ):
        find_run(None, recipe_file)


def test_a_run_whose_training_set_was_moved_is_resumed_from_its_new_place(
    recipe_file: str,
) -> None:
    begin(recipe_file, [], "r")
    Path("train").rename("moved")
    recipe, _ = find_run("r", recipe_file, ["data.dataset=moved"])
    assert recipe.data.dataset == str(Path("moved").absolute())
    write(Path("moved"), 500)
    with pytest.raises(PoiseError, match=r"run r was begun with another data\.dataset"):
        find_run("r", recipe_file, ["data.dataset=moved"])


def test_other_images_for_the_probes_may_be_asked_for(recipe_file: str) -> None:
    begin(recipe_file, [], "r")
    write(Path("more"), 300)
    recipe, _ = find_run("r", recipe_file, ["evaluation.queries=more"])
    assert recipe.evaluation.queries == str(Path("more").absolute())


def test_a_run_of_an_older_version_is_resumed_and_that_is_said(
    recipe_file: str, caplog: pytest.LogCaptureFixture
) -> None:
    begin(recipe_file, [], "r")
    Path("runs/r", RUN_FILE).unlink()
    write(Path("train"), 500)
    with caplog.at_level(logging.INFO, logger="poise"):
        assert find_run("r", None)[1] == "r"
    assert "Poise assumes that its datasets have not changed" in caplog.text


@pytest.mark.parametrize("replaced", ["train", "queries"])
def test_a_probe_whose_dataset_was_replaced_is_not_resumed(recipe_file: str, replaced: str) -> None:
    train, test = (str(Path(name).absolute()) for name in ("train", "queries"))
    recipe = tiny_recipe(data__dataset=train, evaluation={"every_epochs": None})
    keep_plan("p", ProbePlan("linear/dino-v1", "model", test), recipe)
    assert read_plan("p")[1] == recipe
    write(Path(replaced), 500)
    with pytest.raises(PoiseError, match=f"{replaced}: its images or labels are not those that"):
        read_plan("p")


def test_the_fingerprints_are_in_the_runs_own_file(recipe_file: str) -> None:
    begin(recipe_file, [], "r")
    kept = json.loads(Path("runs/r", RUN_FILE).read_text())["datasets"]
    assert [Path(folder).name for folder in kept] == ["train", "queries", "bank"]
    assert all(len(fingerprint) == 64 for fingerprint in kept.values())
