"""The `poise` command: finds the sub-command, and turns expected failures into one line.

In: the process's arguments. Out: an exit status. Next: the module of the sub-command alone, so
that `poise --help` loads none of the heavy libraries.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from poise import __version__
from poise.config.errors import PoiseError

COMMANDS = ("data", "pretrain", "sweep", "evaluate", "models", "submit", "doctor")
"""In the order of a first day's work. `poise.cli.<name>` holds `app` (a group) or `command`."""

EXPECTED_FAILURE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
BROKEN_PIPE = 141  # 128 + SIGPIPE


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
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: it reads the same piped, and starts faster
    pretty_exceptions_enable=False,  # an unexpected failure keeps Python's own traceback
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every option of a command: poise COMMAND --help",
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
    """Pretrain vision models without labels on a Ray cluster, and learn which settings collapse."""


def load_command(name: str) -> Any:
    """Builds the sub-command `name` from its module's `app` or `command`."""
    module = importlib.import_module(f"poise.cli.{name}")
    holder = typer.Typer(rich_markup_mode=None, add_completion=False)
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=name, rich_help_panel=None)
    else:
        holder.command(name)(module.command)
    return typer.main.get_group(holder).commands[name]


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit status.

    An expected failure is one line on stderr and status 2; Ctrl-C is one line and status 130.
    Anything else is a bug and keeps its traceback.
    """
    try:
        app(args=list(arguments), prog_name="poise")
    except PoiseError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXPECTED_FAILURE
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def main() -> None:
    """The entry point of the `poise` program."""
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`poise … | head`); what is left in the buffer must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = BROKEN_PIPE
    sys.exit(status)


if __name__ == "__main__":
    main()
