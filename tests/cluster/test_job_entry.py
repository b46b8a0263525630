"""What a job is told, what may not be told to it, and which Python runs it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import poise.cluster
from poise.cluster.job_entry import CLEANUP_S, COMMAND, Job, packaged
from poise.cluster.job_files import project_files
from poise.config.errors import PoiseError

SCRIPT = Path(poise.cluster.__file__).with_name("job.sh")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POISE_HOME", raising=False)
    monkeypatch.delenv("POISE_STORAGE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def _job(folder: Path, *words: str) -> Job:
    with packaged(words or ("doctor",), project_files(folder), {"who": "test"}) as job:
        return job


def _variables(folder: Path) -> dict[str, str]:
    variables: dict[str, str] = _job(folder).runtime_env["env_vars"]
    return variables


def test_words_reach_the_command_as_they_were_written(tmp_path: Path) -> None:
    words = ["pretrain", "my recipe.yaml", "name=$(rm -rf ~); echo 'x'"]
    entrypoint = _job(tmp_path, *words).entrypoint
    assert shlex.split(entrypoint) == ["exec", "sh", ".poise/job.sh", COMMAND, *words]


def test_another_module_runs_with_the_same_files_and_without_the_metadata(tmp_path: Path) -> None:
    job = _job(tmp_path)
    other = job.running("poise.other", ["a b"])
    assert other.runtime_env == job.runtime_env
    assert shlex.split(other.entrypoint)[-2:] == ["poise.other", "a b"]
    assert (job.metadata, other.metadata) == ({"who": "test"}, {})


def test_workers_import_the_folders_own_code_only_where_it_is(tmp_path: Path) -> None:
    assert "PYTHONPATH" not in _variables(tmp_path)
    code = tmp_path / "platform" / "poise"
    code.mkdir(parents=True)
    (code / "__init__.py").touch()
    assert _variables(tmp_path)["PYTHONPATH"] == "platform"
    assert _variables(tmp_path)["RAY_JOB_STOP_WAIT_TIME_S"] == str(CLEANUP_S)


def test_a_stopped_job_uses_the_minute_that_ray_gives_it(tmp_path: Path) -> None:
    # Ray waited 60 s, and the run ended after 25 s without its checkpoint.
    assert CLEANUP_S - 10 < float(_variables(tmp_path)["POISE_LEAVE_WITHIN_S"]) < CLEANUP_S


def test_where_runs_are_kept_goes_along_and_no_other_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", "/shared/runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    for name in ("RAY_AUTH_TOKEN", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "do-not-tell")
    job = _job(tmp_path)
    assert job.runtime_env["env_vars"]["POISE_HOME"] == "/shared/runs"
    assert job.runtime_env["env_vars"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert "do-not-tell" not in repr(job)


@pytest.mark.parametrize(
    ("home", "fault"),
    [
        ("runs", "POISE_HOME=runs: a job needs an absolute path"),  # it would vanish with the job
        ("s3://bucket/runs", "only POISE_STORAGE takes a URI"),
    ],
)
def test_a_home_in_which_no_run_could_be_kept_is_refused(
    home: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", home)
    with pytest.raises(PoiseError, match=fault):
        _job(tmp_path)


def test_the_storage_of_checkpoints_goes_along_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_STORAGE", "s3://bucket/runs")
    assert _variables(tmp_path)["POISE_STORAGE"] == "s3://bucket/runs"
    monkeypatch.setenv("POISE_STORAGE", "checkpoints")
    with pytest.raises(PoiseError, match="POISE_STORAGE=checkpoints: a job needs a URI"):
        _variables(tmp_path)


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "POISE_HOME"])
def test_a_password_in_a_setting_is_refused_and_not_repeated(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "https://poise:" + "hunter2@store/x")
    with pytest.raises(PoiseError, match=f"^{name}: contains a password in an address") as raised:
        _job(tmp_path)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://" + "hunter2@store/x",
        "hunter2@store:5000",
        "postgresql://" + "hunter2@db/runs",
        "postgresql:" + "hunter2@db/runs",
    ],
)
def test_a_user_that_may_be_a_token_is_refused_because_the_dashboard_would_show_it(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(PoiseError, match=r"^MLFLOW_TRACKING_URI: contains a .*on the nodes") as no:
        _job(tmp_path)
    assert "hunter2" not in str(no.value)


@pytest.mark.parametrize("store", ["https://" + "hunter2@store", "mysql://" + "hunter2@db/runs"])
def test_a_user_that_may_be_a_token_is_refused_in_the_command(store: str, tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match=r"^the command: contains a ") as no:
        _job(tmp_path, "judge", "runs:/1", "--store", store)
    assert "hunter2" not in str(no.value)


def test_a_secret_in_the_command_is_refused_and_not_repeated(tmp_path: Path) -> None:
    word = "data.dataset=s3://me:" + "hunter2@bucket/train"
    with pytest.raises(PoiseError, match="the command: contains") as raised:
        _job(tmp_path, "pretrain", "recipe.yaml", word)
    assert "hunter2" not in str(raised.value)


def test_a_store_in_a_file_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////home/me/mlflow.db")
    _job(tmp_path)
    assert capsys.readouterr().err.startswith("warning: MLFLOW_TRACKING_URI=sqlite:")


def _run_script(folder: Path, raylets_argument: str | None, path: str) -> str:
    """Runs job.sh below a process whose command line is like that of a raylet."""
    inner = shlex.join(["sh", str(SCRIPT), "poise.some.module", "a b"])
    arguments = [] if raylets_argument is None else [raylets_argument]
    return subprocess.run(
        ["/bin/sh", "-c", f"({inner}); exit $?", "raylet", "--a=b", *arguments],
        env={"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
    ).stdout


def _stand_in(path: Path, name: str) -> Path:
    """A program that prints its name, its arguments and where runs would be kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "{name} $POISE_HOME" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this system")
@pytest.mark.parametrize("place", ["env/bin/python", "my env/bin/python"])
def test_a_job_runs_with_the_python_of_rays_workers(tmp_path: Path, place: str) -> None:
    # `ray start` from an environment that was not activated ran jobs with another Python.
    theirs = _stand_in(tmp_path / place, "workers")
    other = _stand_in(tmp_path / "bin" / "python3", "path")
    told = subprocess.list2cmdline([str(theirs), "/ray/setup_worker.py", "--node=1"])
    printed = _run_script(
        tmp_path, f"--python_worker_command={told}", f"{other.parent}{os.pathsep}{os.defpath}"
    )
    assert printed == f"workers {tmp_path}/poise-runs -P -m poise.some.module a b\n"


def test_without_a_raylet_the_python_on_the_path_is_used(tmp_path: Path) -> None:
    other = _stand_in(tmp_path / "bin" / "python3", "path")
    printed = _run_script(tmp_path, None, f"{other.parent}{os.pathsep}{os.defpath}")
    assert printed == f"path {tmp_path}/poise-runs -P -m poise.some.module a b\n"


def test_the_script_is_part_of_every_installation() -> None:
    assert SCRIPT.is_file()
    assert sys.version_info >= (3, 11), "-P"
