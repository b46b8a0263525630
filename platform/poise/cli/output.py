"""Prints the result of a command: for people, with --quiet for scripts, with --json for programs.

In: a function that returns an ``Output``. Out: a command that has both options. Next: every command
that comes to an end.

Text that a function prints while it works is progress. For people, progress is on stdout. With
--json, progress is on stderr. With --quiet, progress is dropped. So stdout contains only the
result.
"""

import inspect
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from poise.cli.streams import quietly

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document; progress goes to stderr.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only the result, without progress.")
]


@dataclass(frozen=True)
class Output:
    """Result of a command in three forms: human-readable, for --quiet, and for --json."""

    document: Callable[[], Any]
    """Function that returns the plain values for --json."""

    result: Sequence[str] = ()
    """Lines for --quiet, such as a path or a model that another command accepts."""

    show: Callable[[], None] = lambda: None
    """Function that prints the human-readable result."""

    failure: Exception | None = None
    """Error to raise after everything is printed."""


def prints(function: Callable[..., Output]) -> Callable[..., None]:
    """Turns a function that returns an ``Output`` into a command with --json and --quiet.

    Args:
        function: function of the command. Its parameters are ``Annotated`` with typer's
            ``Argument`` or ``Option``.

    Returns:
        The command, with the function's parameters and help.
    """

    def command(*, as_json: bool, quiet: bool, **values: Any) -> None:
        with ExitStack() as stack:
            if quiet:
                stack.enter_context(quietly())
            with _progress_apart(as_json, quiet):
                found = function(**values)
            if as_json:
                print(as_text(found.document()))
            elif quiet:
                print(*found.result, sep="\n", end="\n" if found.result else "")
            else:
                found.show()
            sys.stdout.flush()  # before stderr says what failed
            if found.failure is not None:
                raise found.failure

    hints = get_type_hints(function, include_extras=True)
    own = inspect.signature(function).parameters.values()
    options = {"as_json": JsonOption, "quiet": QuietOption}
    parameters = [
        *(each.replace(kind=each.KEYWORD_ONLY, annotation=hints[each.name]) for each in own),
        *(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation
            )
            for name, annotation in options.items()
        ),
    ]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


@contextmanager
def _progress_apart(as_json: bool, quiet: bool) -> Iterator[None]:
    """Redirects the output of the block if only the result may be on stdout.

    With --json, the output goes to stderr. With --quiet, it is dropped.
    """
    if not (as_json or quiet):
        yield
        return
    with ExitStack() as stack:
        elsewhere = sys.stderr
        if quiet:
            elsewhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(redirect_stdout(elsewhere))
        yield


def as_text(document: Any) -> str:
    """Writes plain values as JSON.

    A list has one line for each item. JSON has no NaN and no infinity, so both become null.
    """
    try:
        return _dumped(document)
    except ValueError:
        return _dumped(_finite(document))


def _dumped(document: Any) -> str:
    if isinstance(document, list):  # the fast encoder does not indent
        return "[\n" + ",\n".join(json.dumps(each, allow_nan=False) for each in document) + "\n]"
    return json.dumps(document, indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
