"""What a job is told, and what may not be told to it."""

import shlex
from pathlib import Path

import pytest

from poise.cluster.job_files import CLEANUP_S, package_command
from poise.config.errors import PoiseError


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POISE_HOME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_words_reach_the_command_as_they_were_written(tmp_path: Path) -> None:
    words = ["pretrain", "my recipe.yaml", "name=$(rm -rf ~); echo 'x'"]
    entrypoint = package_command(words, tmp_path).entrypoint
    assert shlex.split(entrypoint)[-len(words) :] == words


def test_the_programs_own_name_may_be_written_before_the_command(tmp_path: Path) -> None:
    written, plain = (
        package_command(words, tmp_path) for words in (["poise", "doctor"], ["doctor"])
    )
    assert written == plain


def test_workers_import_the_folders_own_code_only_where_it_is(tmp_path: Path) -> None:
    assert "PYTHONPATH" not in package_command(["doctor"], tmp_path).runtime_env["env_vars"]
    (tmp_path / "platform" / "poise").mkdir(parents=True)
    variables = package_command(["doctor"], tmp_path).runtime_env["env_vars"]
    assert variables["PYTHONPATH"] == "platform"
    assert variables["RAY_JOB_STOP_WAIT_TIME_S"] == str(CLEANUP_S)


def test_where_runs_are_kept_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POISE_HOME", "/shared/runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    variables = package_command(["doctor"], tmp_path).runtime_env["env_vars"]
    assert variables["POISE_HOME"] == "/shared/runs"
    assert variables["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"


def test_a_relative_home_would_vanish_with_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", "runs")
    with pytest.raises(PoiseError, match="POISE_HOME=runs: a job needs an absolute path"):
        package_command(["doctor"], tmp_path)


def test_a_store_in_a_file_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////home/me/mlflow.db")
    package_command(["doctor"], tmp_path)
    assert capsys.readouterr().err.startswith("warning: MLFLOW_TRACKING_URI=sqlite:")
