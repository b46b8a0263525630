"""`poise judge`, as a person types it."""

import json
import math
from pathlib import Path

import pytest

from poise.cli.main import run as poise


@pytest.fixture
def dino_log(tmp_path: Path) -> Path:
    """``log.txt`` of a run of DINO whose loss never left ln 65536."""
    path = tmp_path / "log.txt"
    rows = [
        {"train_loss": 11.0903, "train_lr": 5e-4, "train_wd": 0.04, "epoch": e} for e in range(100)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_first_line_is_the_answer(dino_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert poise(["judge", str(dino_log), "--prototypes", "65536"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{dino_log}: loss rests at ln K, since epoch 0"
    assert lines[1].startswith("evidence: Since step 0, the loss has stayed at 100.0 % of ln K.")
    assert lines[2].startswith("advice: ")
    assert "read: JSON lines, 100 rows, epoch 0 to 99, objective dino, K = 65536" in lines
    assert "  loss/total from train_loss" in lines
    assert any(line.startswith("not measured: teacher/entropy") for line in lines)


def test_json_has_the_same(dino_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert poise(["judge", str(dino_log), "--prototypes", "65536", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["condemned"], found["onset"]) == ("loss rests at ln K", True, 0)
    assert found["read"] == {"loss/total": "train_loss"}
    assert found["log"]["rows"] == 100
    assert found["not_measured"][0]["metrics"] == ["teacher/entropy", "teacher/marginal_entropy"]


def test_a_log_that_counts_epochs_as_steps_is_judged_by_epochs_if_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n" + "".join(f"{epoch},8.3178\n" for epoch in range(20)))
    words = ["judge", str(path), "--prototypes", "4096", "--quiet"]
    assert poise(words) == 0
    assert capsys.readouterr().out == "undecided\n"
    assert poise([*words, "--unit", "epoch"]) == 0
    assert capsys.readouterr().out == "loss rests at ln K\n"


def test_json_of_a_run_that_diverged_is_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n" + "".join(f"{s},8\n" for s in range(50)) + "50,nan\n")
    assert poise(["judge", str(path), "--prototypes", "4096", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["onset"]) == ("diverged", 50)
    assert found["values"]["loss/total"] == "nan"


def test_a_question_is_one_line_and_status_2(
    dino_log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poise(["judge", str(dino_log)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"poise judge {dino_log} --objective dino --prototypes K" in error


def test_a_healthy_teacher_is_healthy_as_far_as_the_log_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, ln_k = tmp_path / "metrics.csv", math.log(4096)
    rows = "".join(f"{s},{0.6 * ln_k},{0.4 * ln_k},{0.8 * ln_k}\n" for s in range(0, 1000, 10))
    path.write_text(f"step,train_loss,teacher_entropy,teacher_marginal_entropy\n{rows}")
    assert poise(["judge", str(tmp_path), "--prototypes", "4096"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(
        f"{path}: healthy, as far as the log shows. The log cannot show dimensional"
    )


@pytest.mark.slow
def test_the_curves_are_drawn(
    dino_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "curves.png"
    words = ["judge", str(dino_log), "--prototypes", "65536", "--plot"]
    assert poise([*words, str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert poise([*words, str(tmp_path / "curves.pdf")]) == 2
    assert poise([*words, str(tmp_path / "nowhere" / "curves.png")]) == 2
    assert "make it first" in capsys.readouterr().err


def test_a_store_is_only_for_runs_of_mlflow(
    dino_log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poise(["judge", str(dino_log), "--store", "sqlite:////tmp/mlflow.db"]) == 2
    assert "write runs:/RUN_ID" in capsys.readouterr().err
