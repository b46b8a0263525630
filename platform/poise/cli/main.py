"""The `poise` command: runs a sub-command, and prints an expected error in one line.

In: the arguments of the process. Out: an exit status. Next: the module of the sub-command. No other
command is imported, so that `poise --help` loads no large library.
"""

import gc
import importlib
import importlib.util
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from poise import __version__
from poise.cli import usage_errors as usage
from poise.cli.streams import (
    BROKEN_PIPE,
    ReaderLeftError,
    check_streams,
    note,
    say,
    silence,
    surroundings_complaint,
    unread,
)
from poise.config.errors import PoiseError
from poise.config.paths import given_path
from poise.config.redaction import redacted

COMMANDS = (
    "data",
    "pretrain",
    "sweep",
    "ablate",
    "report",
    "evaluate",
    "embed",
    "judge",
    "models",
    "ui",
    "submit",
    "jobs",
    "doctor",
)
"""Names of the commands, in the order in which a new user needs the commands. The module
`poise.cli.<name>` contains `app` or `command`.
"""

EXPECTED_FAILURE = PoiseError.exit_status
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

_NEW_OBJECTS_PER_COLLECTION = 50_000


_EPILOG = """\b
Examples:
  poise pretrain recipe.yaml training.epochs=20
  poise models list --verdict healthy --sort eval/knn_top1

\b
Environment variables:
  POISE_HOME           Folder of runs and models. Default: runs
  POISE_STORAGE        Folder or URI of new checkpoints. Default: POISE_HOME
  MLFLOW_TRACKING_URI  MLflow store. Default: mlflow.db in POISE_HOME
  RAY_ADDRESS          Ray cluster. Default: Ray starts on this machine

\b
Exit statuses:
  0    done
  1    `poise doctor` found something broken
  2    a mistake, or a failed gate of `poise models promote`
  3    some trials of a study, or some evaluations, failed
  130  Ctrl-C
  141  no program reads the output any more
  143  SIGTERM

A job that `poise submit` follows gives its own exit status.

All options of a command: poise COMMAND --help
"""
"""Lines below the commands. After a line of one backspace, click keeps the line breaks."""


class LazyCommands(TyperGroup):
    """Group that imports a sub-command only if its name is typed or its help is shown."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names of the existing sub-commands, in the order of ``COMMANDS``."""
        return [name for name in COMMANDS if importlib.util.find_spec(f"poise.cli.{name}")]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns the sub-command with this name, or None."""
        return load_command(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def invoke(self, ctx: Any) -> Any:
        """Runs the sub-command. After Ctrl-C, it prints one line and exits."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(_say_interrupted(interrupt)) from None  # Typer's own says "Aborted!"


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: it looks the same in a pipe, and starts faster
    pretty_exceptions_enable=False,  # an unexpected error shows Python's own traceback
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"poise {__version__}")
        raise typer.Exit


@app.callback()
def poise(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Pretrain vision models without labels, on one computer or on a Ray cluster."""


def load_command(name: str) -> Any:
    """Makes the sub-command `name` from `app` or `command` in its module."""
    module = importlib.import_module(f"poise.cli.{name}")
    holder = typer.Typer(rich_markup_mode=None, add_completion=False)
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=name, rich_help_panel=None)
    else:
        holder.command(name)(module.command)
    return typer.main.get_group(holder).commands[name]


@contextmanager
def resumable(command: str, what_is_lost: Callable[[], str] = str) -> Iterator[None]:
    """Prints the command to continue with if Ctrl-C or SIGTERM interrupts the block.

    Args:
        command: command to continue with.
        what_is_lost: function that returns a few words about lost work, or an empty text.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_interrupted(command, what_is_lost())) from None
    except ReaderLeftError:
        raise  # nobody reads on
    except SystemExit:
        say(_interrupted(command, what_is_lost()))
        raise


def _interrupted(command: str, lost: str) -> str:
    return f"interrupted{f' {lost}' if lost else ''}; go on with: {command}"


def exit_status(work: Callable[[], object]) -> int:
    """Runs the work of a command or script, and returns the exit status of the process.

    An expected error is printed as one line on stderr. The status is then 3 if some trials of a
    study or some evaluations failed, and 2 otherwise. After Ctrl-C, one line is printed and the
    status is 130. If the reader of the output ends first (`poise … | head`), nothing is printed and
    the status is 141. Any other exception is a bug and keeps its traceback.
    """
    try:
        check_streams()
        with _notices():
            work()
        sys.stdout.flush()
    except PoiseError as error:
        say(f"error: {redacted(str(error))}")
        return error.exit_status
    except KeyboardInterrupt as interrupt:
        return _say_interrupted(interrupt)
    except (ReaderLeftError, BrokenPipeError) as error:
        return _reader_left(error)
    except OSError as error:
        complaint = surroundings_complaint(error)
        if complaint is None:
            raise
        say(f"error: {complaint}")
        return EXPECTED_FAILURE
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # click turns the one into the other
            return _reader_left(end.__context__)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _reader_left(error: BaseException) -> int:
    """Ends like a Unix tool if the program that read the output has ended.

    Output that was not written yet is discarded, so that it causes no second error.
    """
    without_reader = unread()
    if isinstance(error, BrokenPipeError) and not without_reader:
        raise error  # another pipe, or a connection: a bug
    for descriptor in without_reader:
        silence(descriptor)
    return BROKEN_PIPE


@contextmanager
def _notices() -> Iterator[None]:
    """Prints the messages of Poise's loggers on stderr, one line each."""
    logger, shown = logging.getLogger("poise"), _OnStderr()
    level = logger.level
    logger.addHandler(shown)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(shown)
        logger.setLevel(level)


class _OnStderr(logging.Handler):
    """Handler that looks up stderr for each line, because a progress bar may replace stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        line = redacted(self.format(record))
        (say if record.levelno >= logging.WARNING else note)(line)


def _say_interrupted(interrupt: KeyboardInterrupt) -> int:
    say(str(interrupt) or "interrupted")
    return INTERRUPTED


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit status."""
    return exit_status(partial(_call, list(arguments)))


def _call(arguments: list[str]) -> None:
    try:
        if arguments[:1] != ["submit"]:  # paths of `submit` are on the cluster
            arguments = [_with_home(argument) for argument in arguments]
        status = app(args=arguments, prog_name="poise", standalone_mode=False)
    except typer.Abort:  # Typer raises this for Ctrl-C outside of a command's own code
        raise KeyboardInterrupt from None
    except usage.UsageError as error:
        if usage.is_help(error):
            error.show()  # type: ignore[attr-defined]
            raise SystemExit(EXPECTED_FAILURE) from None
        raise PoiseError(usage.explain(error)) from None
    if status:
        raise SystemExit(status)


def _with_home(argument: str) -> str:
    """Replaces ``~`` by the home folder, as in ``~/photos`` and ``data.dataset=~/shards``."""
    start, equals, path = "", "", argument
    if not argument.startswith("~"):
        start, equals, path = argument.partition("=")
    return f"{start}{equals}{given_path(path, argument)}" if path.startswith("~") else argument


def main() -> None:
    """Runs the `poise` program."""
    # Imports make millions of objects that stay. With Python's own threshold, garbage collection
    # takes a fifth of the time of `poise models list`.
    gc.set_threshold(_NEW_OBJECTS_PER_COLLECTION)
    status = run(sys.argv[1:])
    if status > 128:  # ended by a signal: another signal must not interrupt the end of Ray
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


if __name__ == "__main__":
    main()
