"""Output that has nowhere to go, and a folder that is gone, seen by a shell."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from poise.cli import main
from poise.config.disk import disk_complaint, room_on_disk
from poise.config.errors import PoiseError

POISE = shlex.join([sys.executable, "-P", "-m", "poise.cli.main"])
COMMANDS = ["--help", "--version", "pretrain --help", "models list"]


@pytest.fixture
def folder(tmp_path: Path, migrated_file: Path) -> Path:
    """A folder whose runs have a store, which no command needs to make."""
    (tmp_path / "runs").mkdir()
    shutil.copy(migrated_file, tmp_path / "runs" / "mlflow.db")
    return tmp_path


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=os.environ | {"POISE_HOME": str(folder / "runs")},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (">/dev/full", "stdout: No space left on device; the output is not complete"),
        (">&-", "stdout is closed; to discard the output add >/dev/null"),
    ],
)
def test_an_output_that_goes_nowhere_is_one_line_and_status_2(
    command: str, output: str, complaint: str, folder: Path
) -> None:
    ended = shell(f"{POISE} {command} {output}", folder)
    assert (ended.returncode, ended.stderr) == (2, f"error: {complaint}\n")


def without_reader(
    words: list[str], folder: Path, errors: int = subprocess.PIPE
) -> tuple[int, str]:
    """Exit status and stderr of a command whose output nobody reads, as in `poise … | true`."""
    there, here = os.pipe()
    os.close(there)
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "poise.cli.main", *words],
            cwd=folder,
            env=os.environ | {"POISE_HOME": str(folder / "runs")},
            stdout=here,
            stderr=here if errors == subprocess.STDOUT else errors,
            text=True,
        )
    finally:
        os.close(here)
    return ended.returncode, ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", [*COMMANDS, "data prepare scenes d --num-images 4"])
def test_a_command_whose_reader_has_left_ends_with_141_and_says_nothing(
    command: str, folder: Path
) -> None:
    # It was 1: click ends so, and code that writes files took the pipe's error for its own.
    assert without_reader(command.split(), folder) == (141, "")


@pytest.mark.slow
def test_a_shared_pipe_without_a_reader_ends_with_141_too(tmp_path: Path) -> None:
    words = ["data", "prepare", "scenes", "d", "--num-images", "4"]
    assert without_reader(words, tmp_path, subprocess.STDOUT)[0] == 141
    assert without_reader([*words, "--json"], tmp_path, subprocess.STDOUT)[0] == 141


def test_progress_that_nobody_reads_is_no_failure_of_the_file_that_is_written(
    tmp_path: Path,
) -> None:
    code = """
from poise.cli.main import exit_status, resumable
from poise.config.disk import room_on_disk
def work():
    with resumable("poise x --resume"), room_on_disk("the file", "go on"):
        try:
            print("progress", flush=True)
        except OSError:
            print("taken for an error of the file")
raise SystemExit(exit_status(work))
"""
    there, here = os.pipe()
    os.close(there)
    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=here, stderr=subprocess.PIPE, text=True
    )
    os.close(here)
    assert (ended.returncode, ended.stderr) == (141, "")


@pytest.mark.slow
@pytest.mark.parametrize("output", ["2>&-", "2>/dev/full"])
def test_a_stderr_that_goes_nowhere_changes_no_exit_status(output: str, tmp_path: Path) -> None:
    assert shell(f"{POISE} pretran {output}", tmp_path).returncode == 2
    assert shell(f"{POISE} --version {output}", tmp_path).returncode == 0


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "surroundings",
    ["PYTHONIOENCODING=ascii", "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"],
)
def test_an_encoding_without_a_character_prints_a_question_mark(
    surroundings: str, tmp_path: Path
) -> None:
    # An ellipsis ended the command with a traceback, after its work had begun.
    code = (
        "from poise.cli.main import exit_status; print(exit_status(lambda: print('a \\u2026 b')))"
    )
    line = f"{surroundings} {shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    ended = shell(line, tmp_path)
    assert (ended.stdout, ended.stderr) == ("a ? b\n0\n", "")


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


def test_a_name_that_is_too_long_anywhere_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.exit_status(lambda: (tmp_path / ("a" * 300)).stat()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: /") and line.endswith("is too long; give a shorter one")


def test_a_home_that_is_not_utf_8_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POISE_HOME", "/tmp/runs-\udcff")
    assert main.run(["report", "x"]) == 2
    assert capsys.readouterr().err.startswith("error: POISE_HOME: is not UTF-8")


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
