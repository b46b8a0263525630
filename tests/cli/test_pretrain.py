import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
import yaml

from poise.cli.main import resumable, run
from poise.cli.pretrain import _what_is_lost
from poise.cluster import connection
from poise.cluster.nodes import Node
from poise.config import load_recipe
from poise.config.paths import RECIPE_FILE
from poise.runs.folder import begin
from poise.runs.resumption import find_run
from poise.training import worker_room
from poise.training.checkpoint import RUN_FILE, STATE_FILE
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset

Refuses = Callable[..., None]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture
def recipe_file(runs: Path, tmp_path: Path) -> str:
    write_dataset(tmp_path / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(16)])
    content = tiny_recipe(data__dataset="dataset").model_dump(mode="json")
    Path("recipe.yaml").write_text(yaml.safe_dump(content))
    return "recipe.yaml"


def test_a_dry_run_says_how_many_workers_would_start_and_starts_nothing(
    runs: Path,
    recipe_file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nodes = [Node("a", "a", {"CPU": 2.0}, True), Node("b", "b", {"CPU": 1.5}, False)]
    monkeypatch.setattr(connection, "start_ray", lambda: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 3.5})
    monkeypatch.setattr(worker_room, "live_nodes", lambda: nodes)
    monkeypatch.setattr(worker_room, "uses_gpu", lambda recipe: False)
    words = ["pretrain", recipe_file, "--workers", "1-8", "--dry-run", "training.batch_size=8"]
    assert run(words) == 0
    printed = capsys.readouterr().out
    assert "would train 4 steps of 8 images" in printed
    assert (
        "workers: starts with 2 of 8 workers (room for 3 of 1 CPUs each; allowed: 1, 2, 4, 8)"
        in printed
    )
    assert not list(runs.glob("*/recipe.yaml"))


@pytest.fixture
def refuses(capsys: pytest.CaptureFixture[str]) -> Refuses:
    def check(words: list[str], expected: str) -> None:
        assert run(["pretrain", *words]) == 2
        printed = capsys.readouterr()
        assert (printed.out, printed.err) == ("", f"error: {expected}\n")

    return check


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "name a recipe to start or, with --resume, a run to finish"),
        (["seed=1"], "name a recipe to start or, with --resume, a run to finish"),
        (["--resume"], "--resume: name the run to finish, or the file that it began with"),
        (["--name", "a", "--resume", "r"], "--resume: one run at a time, not r and a"),
        (["a.yaml", "--resume", "b.yaml"], "--resume: one run at a time, not a.yaml and b.yaml"),
        (["--resume", "r", "seed=3"], "--resume r: continues the run as it began and takes no "
         "seed=3"),
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--resume", "lost"], "--resume lost: {runs} holds no such run; it holds none"),
        (["a.yaml", "--name", "../a"], "--name '../a': a name has at most 100 letters, digits, "
         "'.', '_' and '-'; it begins with a letter or a digit"),
        (["a.yaml", "--name", "models"], "--name models: {runs} keeps something else under it; "
         "choose another"),
        (["a.yaml", "--name", "mlflow.db-wal"], "--name mlflow.db-wal: {runs} keeps something else "
         "under it; choose another"),
    ],
)  # fmt: skip
def test_what_cannot_be_pretrained_is_one_line_and_leaves_nothing(
    words: list[str], expected: str, runs: Path, refuses: Refuses
) -> None:
    refuses(words, expected.format(runs=runs))
    assert not runs.exists()


def test_a_name_is_taken_once_and_resuming_knows_what_was_begun(
    recipe_file: str, runs: Path, refuses: Refuses
) -> None:
    begin(recipe_file, [], "first")
    begin(recipe_file, [], "second")
    refuses(
        [recipe_file, "--name", "first"],
        f"{runs / 'first'}: there is a run or study of this name; finish it with "
        "`poise pretrain --resume first`, or choose another --name",
    )
    refuses(
        ["--resume", "third"],
        f"--resume third: {runs} holds no such run; it holds first, second",
    )


def test_a_run_that_begins_is_complete_and_resumes_from_any_folder(
    recipe_file: str, runs: Path, tmp_path: Path
) -> None:
    recipe, name = begin(recipe_file, ["training.epochs=3"])
    assert name.startswith("tiny-")
    assert recipe.data.dataset == str(tmp_path / "dataset")
    assert load_recipe(runs / name / RECIPE_FILE) == recipe


def test_a_recipe_that_cannot_run_takes_no_name(
    recipe_file: str, runs: Path, refuses: Refuses
) -> None:
    refuses(
        [recipe_file, "training.batch_size=64", "--name", "a"],
        "training.batch_size=64 is more than the 16 images of "
        f"{runs.parent / 'dataset'}; make it smaller",
    )
    assert not runs.exists()


def test_the_same_command_with_resume_finds_the_latest_unfinished_run(
    recipe_file: str, runs: Path, refuses: Refuses
) -> None:
    refuses([recipe_file, "--resume"], f"--resume: {runs} holds no unfinished run of tiny: "
            "there is none")  # fmt: skip
    for age, name in enumerate(("third", "second", "first")):
        begin(recipe_file, [], name)
        os.utime(runs / name / RECIPE_FILE, (10 - age, 10 - age))
    assert find_run(None, recipe_file) == (load_recipe(runs / "third" / RECIPE_FILE), "third")
    (runs / "third" / "checkpoint_1").mkdir()
    ended = {"step": 8, "recipe": {}, "history": [[8, {"loss/total": 1.0}]]}
    (runs / "third" / "checkpoint_1" / RUN_FILE).write_text(json.dumps(ended))
    (runs / "third" / "checkpoint_1" / STATE_FILE).touch()
    assert find_run(None, recipe_file)[1] == "second"
    assert find_run("first", recipe_file)[1] == "first"
    # How a run is carried out may change, what it learns may not.
    recipe, _ = find_run(None, recipe_file, ["training.log_every_steps=3"])
    assert recipe.training.log_every_steps == 3
    refuses(
        [recipe_file, "seed=3", "--resume"],
        "--resume: run second was begun with another seed: 0 there, 3 here; `poise pretrain "
        "--resume second` finishes it as it began, without --resume a new one begins",
    )


def test_a_run_interrupted_before_its_first_checkpoint_says_what_is_lost(
    recipe_file: str, runs: Path
) -> None:
    begin(recipe_file, [], "early")

    def interrupted() -> str:
        with (
            pytest.raises(KeyboardInterrupt) as caught,
            resumable("poise pretrain --resume early", lambda: _what_is_lost("early")),
        ):
            raise KeyboardInterrupt
        return str(caught.value)

    lost = (
        "interrupted before its first checkpoint: it will begin again; "
        "go on with: poise pretrain --resume early"
    )
    assert interrupted() == lost
    (runs / "early" / "checkpoint_1").mkdir()
    kept = json.dumps({"step": 4, "recipe": {}, "history": []})
    (runs / "early" / "checkpoint_1" / RUN_FILE).write_text(kept)
    assert interrupted() == lost, "a checkpoint without its state is not whole"
    (runs / "early" / "checkpoint_1" / STATE_FILE).touch()
    assert interrupted() == "interrupted; go on with: poise pretrain --resume early"
