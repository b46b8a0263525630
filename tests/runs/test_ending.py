"""What is said of a run that is resumed although there is nothing left to train."""

import json
import math
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from poise.cli.main import run
from poise.config import Recipe, load_recipe
from poise.runs.ending import how_it_ended, over_line
from poise.runs.folder import begin
from poise.tracking.ending import finish
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from poise.training.checkpoint import RUN_FILE, STATE_FILE
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset

STEPS = 100


@pytest.fixture
def folder(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the run ``r``, begun and not trained."""
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "scenes", [encode(smooth_image(i, 24, 20)) for i in range(16)])
    content = tiny_recipe(data__dataset="scenes", training__epochs=STEPS // 2)
    Path("a.yaml").write_text(yaml.safe_dump(content.model_dump(mode="json")))
    (tmp_path / "runs").mkdir()
    shutil.copy(migrated_file, tmp_path / "runs" / "mlflow.db")
    return tmp_path / "runs" / "r"


def train(folder: Path, until: int, last: dict[str, float] | None = None, **changes: Any) -> Recipe:
    """Leaves a checkpoint at a step, collapsed from step 20 on."""
    settings = [f"training.{key}={json.dumps(value)}" for key, value in changes.items()]
    recipe, _ = begin("a.yaml", settings, "r")
    history: list[tuple[int, dict[str, float]]] = []
    for step in range(2, until + 1, 2):
        entropy, information = (1.0, 1.5) if step < 20 else (0.01, 0.0)
        teacher = {"teacher/entropy": entropy, "teacher/mutual_information": information}
        history.append((step, {**teacher, "teacher/kl": 0.1, "loss/total": 1.0}))
    history[-1][1].update(last or {})
    (folder / "checkpoint_1").mkdir()
    kept = {"step": until, "recipe": recipe.model_dump(mode="json"), "history": history}
    (folder / "checkpoint_1" / RUN_FILE).write_text(json.dumps(kept))
    (folder / "checkpoint_1" / STATE_FILE).touch()
    return recipe


def end(folder: Path) -> None:
    """As its process leaves it in MLflow."""
    finish(create_run(open_store(), "scenes", "r", folder), "FINISHED")


@pytest.mark.parametrize(
    ("until", "changes", "more"),
    [
        (40, {"stop_collapsed": True}, "training.stop_collapsed=false"),
        (10, {"stop_after_steps": 10}, "training.stop_after_steps=null"),
        (STEPS, {}, ""),
    ],
)
def test_a_run_that_is_over_says_so_with_its_verdict_and_how_to_train_on_and_starts_nothing(
    folder: Path,
    until: int,
    changes: dict[str, Any],
    more: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One that the CollapseStopper had ended started Ray and its workers, only to end at once.
    monkeypatch.setattr("poise.runs.session.start_ray", pytest.fail)
    train(folder, until, **changes)
    end(folder)
    assert run(["pretrain", "--resume", "r", "--no-register"]) == 0
    over, verdict, *_ = capsys.readouterr().out.splitlines()
    go_on = f"poise pretrain {folder / 'recipe.yaml'} {more} --name r --resume"
    hint = f"; to train on all the same: {go_on}" if more else ""
    assert over == f"run r is over, at step {until} of {STEPS}{hint}"
    assert verdict.startswith("verdict: ")


def test_the_command_that_is_offered_runs_from_a_folder_with_a_space_in_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = folder.parent.rename(folder.parent.with_name("my runs"))
    monkeypatch.setenv("POISE_HOME", str(moved))
    stopped = train(moved / "r", 40, stop_collapsed=True)
    ended = how_it_ended(stopped, "r")
    assert ended is not None
    _, _, offered = over_line(stopped, "r", ended).partition("all the same: ")
    program, verb, file, *_ = shlex.split(offered)
    assert (program, verb) == ("poise", "pretrain")
    assert load_recipe(file) == stopped


def test_what_ended_a_run_may_be_lifted(folder: Path) -> None:
    stopped = train(folder, 40, stop_collapsed=True)
    ended = how_it_ended(stopped, "r")
    assert ended is not None and ended.verdict.condemned
    assert ended.stopped_by == "CollapseStopper"
    lifted = tiny_recipe(data__dataset=stopped.data.dataset, training__epochs=STEPS // 2)
    assert how_it_ended(lifted, "r") is None


def test_the_latest_unfinished_run_is_none_that_was_stopped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder, 40, stop_collapsed=True)
    assert run(["pretrain", "a.yaml", "training.stop_collapsed=true", "--resume"]) == 2
    assert "holds no unfinished run of tiny: all 1 are finished" in capsys.readouterr().err


def test_a_run_that_diverged_is_over_and_nothing_is_offered(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder, 12, {"loss/total": math.nan})
    end(folder)
    assert run(["pretrain", "--resume", "r"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"run r is over, at step 12 of {STEPS}"
