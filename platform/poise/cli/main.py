"""The `poise` command: finds the sub-command, and turns expected failures into one line.

In: the process's arguments. Out: an exit status. Next: the module of the sub-command alone, so
that `poise --help` loads none of the heavy libraries.
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
from poise.cli.streams import check_streams, say, silence, surroundings_complaint
from poise.config.errors import PoiseError
from poise.config.paths import given_path

COMMANDS = (
    "data",
    "pretrain",
    "sweep",
    "ablate",
    "report",
    "evaluate",
    "models",
    "submit",
    "doctor",
)
"""Commands in the order of a first day's work. `poise.cli.<name>` has `app` or `command`."""

EXPECTED_FAILURE = PoiseError.exit_status
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
BROKEN_PIPE = 141  # 128 + SIGPIPE

_NEW_OBJECTS_PER_COLLECTION = 50_000


class LazyCommands(TyperGroup):
    """Imports a sub-command's module only when it is named, or for its line in the help."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The sub-commands that are there, in reading order."""
        return [name for name in COMMANDS if importlib.util.find_spec(f"poise.cli.{name}")]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The named sub-command, or none."""
        return load_command(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def invoke(self, ctx: Any) -> Any:
        """Runs the sub-command; Ctrl-C ends it with one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(_say_interrupted(interrupt)) from None  # Typer's own says "Aborted!"


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: it reads the same piped, and starts faster
    pretty_exceptions_enable=False,  # an unexpected failure keeps Python's own traceback
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="All options of a command: poise COMMAND --help",
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
    """Pretrain vision models without labels on a Ray cluster, and find which settings collapse."""


def load_command(name: str) -> Any:
    """Builds the sub-command `name` from its module's `app` or `command`."""
    module = importlib.import_module(f"poise.cli.{name}")
    holder = typer.Typer(rich_markup_mode=None, add_completion=False)
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=name, rich_help_panel=None)
    else:
        holder.command(name)(module.command)
    return typer.main.get_group(holder).commands[name]


@contextmanager
def resumable(command: str, what_is_lost: Callable[[], str] = str) -> Iterator[None]:
    """Names the command that goes on, where the block is interrupted by Ctrl-C or SIGTERM.

    Args:
        command: the command that goes on.
        what_is_lost: asked then; nothing, or a few words.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_interrupted(command, what_is_lost())) from None
    except SystemExit:
        say(_interrupted(command, what_is_lost()))
        raise


def _interrupted(command: str, lost: str) -> str:
    return f"interrupted{f' {lost}' if lost else ''}; go on with: {command}"


def exit_status(work: Callable[[], object]) -> int:
    """Does what a command or a script is for; returns the process's exit status.

    An expected failure is one line on stderr and its own status: 3 where trials of a study
    failed, 2 for everything else. Ctrl-C is one line and status 130. Anything else is a bug and
    keeps its traceback.
    """
    try:
        check_streams()
        with _notices():
            work()
        sys.stdout.flush()
    except PoiseError as error:
        say(f"error: {error}")
        return error.exit_status
    except KeyboardInterrupt as interrupt:
        return _say_interrupted(interrupt)
    except BrokenPipeError:
        # The reader has gone (`poise … | head`); what is left in the buffer must not complain.
        silence(1)
        return BROKEN_PIPE
    except OSError as error:
        complaint = surroundings_complaint(error)
        if complaint is None:
            raise
        say(f"error: {complaint}")
        return EXPECTED_FAILURE
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@contextmanager
def _notices() -> Iterator[None]:
    """Shows the messages of the package's loggers on stderr, one line each."""
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
    """Looks for stderr at each line: a progress bar takes its place while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def _say_interrupted(interrupt: KeyboardInterrupt) -> int:
    say(str(interrupt) or "interrupted")
    return INTERRUPTED


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit status."""
    return exit_status(partial(_call, list(arguments)))


def _call(arguments: list[str]) -> None:
    try:
        if arguments[:1] != ["submit"]:  # those paths are the cluster's
            arguments = [_with_home(argument) for argument in arguments]
        status = app(args=arguments, prog_name="poise", standalone_mode=False)
    except typer.Abort:  # Typer's word for Ctrl-C outside of a command's own code
        raise KeyboardInterrupt from None
    except usage.UsageError as error:
        if usage.is_help(error):
            error.show()  # type: ignore[attr-defined]
            raise SystemExit(EXPECTED_FAILURE) from None
        raise PoiseError(usage.explain(error)) from None
    if status:
        raise SystemExit(status)


def _with_home(argument: str) -> str:
    """Expands a quoted ``~``, as in ``~/photos`` and ``data.dataset=~/shards``."""
    start, equals, path = "", "", argument
    if not argument.startswith("~"):
        start, equals, path = argument.partition("=")
    return f"{start}{equals}{given_path(path, argument)}" if path.startswith("~") else argument


def main() -> None:
    """The entry point of the `poise` program."""
    # Imports make millions of objects that stay. At Python's own threshold, looking for garbage
    # among them takes a fifth of the time that `poise models list` takes.
    gc.set_threshold(_NEW_OBJECTS_PER_COLLECTION)
    status = run(sys.argv[1:])
    if status > 128:  # a signal ended it: another must not tear what still ends, such as Ray
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


if __name__ == "__main__":
    main()
