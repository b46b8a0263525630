"""Output that has nowhere to go, and a folder that is gone, seen by a shell."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from poise.cli import main
from poise.config.disk import disk_complaint, room_on_disk
from poise.config.errors import PoiseError

POISE = shlex.join([sys.executable, "-P", "-m", "poise.cli.main"])
COMMANDS = ["--help", "--version", "pretrain --help", "models list"]


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=os.environ | {"POISE_HOME": str(folder / "runs")},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (">/dev/full", "stdout: No space left on device; the output is not complete"),
        (">&-", "stdout is closed; to discard the output add >/dev/null"),
    ],
)
def test_an_output_that_goes_nowhere_is_one_line_and_status_2(
    command: str, output: str, complaint: str, tmp_path: Path
) -> None:
    ended = shell(f"{POISE} {command} {output}", tmp_path)
    assert (ended.returncode, ended.stderr) == (2, f"error: {complaint}\n")


@pytest.mark.parametrize("output", ["2>&-", "2>/dev/full"])
def test_a_stderr_that_goes_nowhere_changes_no_exit_status(output: str, tmp_path: Path) -> None:
    assert shell(f"{POISE} pretran {output}", tmp_path).returncode == 2
    assert shell(f"{POISE} --version {output}", tmp_path).returncode == 0


def test_without_a_current_folder_what_needs_none_works_and_the_rest_is_one_line(
    tmp_path: Path,
) -> None:
    gone = f"mkdir gone; cd gone; rmdir ../gone; {POISE}"
    assert shell(f"{gone} --help", tmp_path).returncode == 0
    ended = shell(f"{gone} data prepare scenes here", tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: the current folder was deleted; change to another with `cd`\n"
    ended = shell(f"{gone} submit --address http://127.0.0.1:1 -- doctor", tmp_path)
    assert ended.stderr == "error: the current folder was deleted; change to another with `cd`\n"


def test_a_full_disk_anywhere_is_one_line_that_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill() -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "run.json"))

    assert main.exit_status(fill) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/run.json: No space left on device; free some space, or set POISE_HOME "
        "to another disk\n"
    )


def test_a_quoted_tilde_in_any_argument_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main.run(["pretrain", "~/no-such-recipe.yaml"]) == 2
    assert f"{tmp_path}/no-such-recipe.yaml" in capsys.readouterr().err
    assert main.run(["data", "prepare", "~nobody-of-that-name/x", "y"]) == 2
    assert "there is no home folder for '~nobody-of-that-name'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        OSError(122, "Disk quota exceeded"),
        RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/3"),
        ValueError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_every_way_to_say_that_the_disk_is_full_becomes_one_line(error: Exception) -> None:
    assert disk_complaint(error)
    expected = pytest.raises(PoiseError, match=r"/runs/a cannot be written: .*; continue with")
    with expected, room_on_disk("/runs/a", "continue with --resume"):
        raise error
    with pytest.raises(RuntimeError, match="a bug"), room_on_disk("/runs/a", "go on"):
        raise RuntimeError("a bug")
