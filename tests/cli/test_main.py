"""The `poise` command: quick, readable, and one line for each expected failure."""

import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from poise import __version__
from poise.cli import main
from poise.cli.streams import BROKEN_PIPE
from poise.cluster import connection as connection
from poise.config.errors import PoiseError

# What a command that computes nothing may load: itself, and what reads its line and its files.
LIGHT = {"poise", "click", "rich", "shellingham", "typer"}
LIGHT |= {"annotated_doc", "annotated_types", "pydantic", "pydantic_core", "yaml"}
LIGHT |= {"_distutils_hack", "typing_extensions", "typing_inspection"}


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def _with_command(body: str) -> str:
    """A program whose only sub-command runs ``body``."""
    return f"""
import sys, typer
from poise.cli import main
from poise.config.errors import PoiseError
@main.app.command("try")
def _try() -> None:
    {body}
main.LazyCommands.get_command = lambda self, ctx, name: self.commands.get(name)
sys.argv = ["poise", "try"]
main.main()
"""


def test_help_names_every_command_without_loading_a_heavy_library() -> None:
    code = f"""
import sys
from poise.cli.main import run
assert run(["--help"]) == 0
files = {{name.partition(".")[0]: getattr(module, "__file__", None) for name, module in
    sys.modules.items() if "." not in name}}
installed = {{name for name, file in files.items() if file and "site-packages" in file}}
print("LOADED", *sorted(installed - {LIGHT}))
"""
    result = _python(code)
    assert result.stdout.splitlines()[-1] == "LOADED", result.stderr
    for name in main.LazyCommands(name="poise").list_commands(None):
        assert f"  {name} " in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


@pytest.mark.parametrize("name", main.LazyCommands(name="poise").list_commands(None))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: poise {name}")
    assert len(text.splitlines()) > 4


@pytest.mark.parametrize(
    "words", ["", "data", "evaluate", "models", "jobs", "models promote", "evaluate all"]
)
def test_help_has_examples_and_fits_into_80_columns(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main.run([*words.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    examples = [line for line in lines if line.strip().startswith(("poise ", "Example: poise "))]
    assert len(examples) >= 2
    assert all(len(line) <= 80 for line in lines)


def test_help_lists_the_environment_and_the_exit_statuses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main.run(["--help"])
    text = capsys.readouterr().out
    statuses = (0, 1, main.EXPECTED_FAILURE, 3, main.INTERRUPTED, BROKEN_PIPE, 143)
    for status in statuses:
        assert f"\n    {status} " in text
    for name in ("POISE_HOME", "POISE_STORAGE", "MLFLOW_TRACKING_URI"):
        assert f"\n    {name} " in text
    main.run(["models", "promote", "--help"])
    assert "exit status is 2" in " ".join(capsys.readouterr().out.split())


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"poise {__version__}\n"


def test_an_expected_failure_is_one_line_and_status_2() -> None:
    result = _python(_with_command("raise PoiseError('epochs=0: must be at least 1')"))
    assert (result.returncode, result.stderr) == (2, "error: epochs=0: must be at least 1\n")


def test_an_error_or_a_log_line_never_shows_a_token_in_an_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        logging.getLogger("poise.any").warning("slow: http://%s@host", "hunter2")
        raise PoiseError("http://" + "hunter2@host: does not answer")

    assert main.exit_status(fail) == 2
    told = capsys.readouterr().err
    assert told == "slow: http://***@host\nerror: http://***@host: does not answer\n"


def test_a_bug_keeps_its_traceback() -> None:
    result = _python(_with_command("raise KeyError('a bug')"))
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "KeyError: 'a bug'" in result.stderr


def test_ctrl_c_is_one_line_and_status_130() -> None:
    result = _python(_with_command("raise KeyboardInterrupt"))
    assert (result.returncode, result.stderr) == (130, "interrupted\n")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    program = _with_command("[print('a line of output') for _ in range(100_000)]")
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141, "as of a Unix tool; click made it 1"


def test_a_broken_pipe_that_is_not_the_commands_output_keeps_its_traceback() -> None:
    result = _python(_with_command("raise BrokenPipeError('a connection')"))
    assert result.returncode == 1
    assert "BrokenPipeError: a connection" in result.stderr


def test_a_command_says_that_ray_starts_and_a_library_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(connection, "_init", lambda **options: None)
    assert main.exit_status(connection.start_ray) == 0
    assert capsys.readouterr() == ("", "starting Ray on this machine …\n")
    connection.start_ray()
    assert capsys.readouterr() == ("", "")
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", f" {address} ")
        assert main.exit_status(connection.start_ray) == 0
    assert capsys.readouterr() == ("", f"joining Ray at {address} …\n")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "http://head:8265", "?"])
def test_a_cluster_that_cannot_be_joined_is_one_line_at_once(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert main.exit_status(connection.start_ray) == 2
    (_, line) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: RAY_ADDRESS={address}: ")


def test_a_ray_that_does_not_start_is_one_line_with_the_folder_of_its_logs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(**options: object) -> None:
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(connection, "_init", fail)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert main.exit_status(connection.start_ray) == 2
    *tries, line = capsys.readouterr().err.splitlines()
    assert len(tries) == 2 and "timed out during startup.); trying again" in tries[-1]
    logs = tmp_path / "ray" / "session_latest" / "logs"
    assert line.startswith("error: Ray did not start") and f"its logs are in {logs}," in line


def test_a_commands_own_exit_status_is_passed_on() -> None:
    assert _python(_with_command("raise typer.Exit(7)")).returncode == 7


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pretran", "poise: no command is called 'pretran'; did you mean 'pretrain'?"),
        ("data prepair", "poise data: no command is called 'prepair'; did you mean 'prepare'?"),
        ("data look", "poise data: no command is called 'look'; there are prepare, preview"),
        ("pretrain --nam a", "poise pretrain: no option is called '--nam'; did you mean '--name'?"),
        ("doctor --all", "poise doctor: no option is called '--all'; it takes "
         "--cluster, --address, --json, --quiet, --help"),
        ("evaluate knn foo", "poise evaluate knn: DATASET is missing; write `poise evaluate knn "
         "MODEL DATASET`"),
        ("doctor here", "poise doctor: takes no 'here'; write `poise doctor`"),
        ("pretrain --name", "option '--name' requires an argument"),
    ],
)  # fmt: skip
def test_what_no_command_takes_is_one_line_with_the_fix(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(line.split()) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"error: {expected}\n")


@pytest.mark.parametrize(("value", "limit"), [("0", "1"), ("few", "number")])
def test_an_options_wrong_value_is_named_with_its_limit(
    value: str, limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["data", "prepare", "scenes", "there", "--num-images", value]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: poise data prepare: --num-images")
    assert value in line and limit in line


@pytest.mark.parametrize("group", [[], ["data"], ["evaluate"]])
def test_a_group_without_a_command_shows_its_help(
    group: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main.run(group)
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert text.startswith("Usage: poise") and "error:" not in text
