"""Collects the options of a command in one object.

In: a dataclass whose fields are typer's options. Out: a command that gets one such object. Next:
every command that would otherwise have too many parameters.

Typer reads a command's options from the parameters of its function. Without this module, a command
with ten options would be a function with ten parameters. Every function that it calls would also
have ten parameters.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, get_type_hints

GroupT = TypeVar("GroupT")
ResultT = TypeVar("ResultT")


def options_of(
    group: type[GroupT],
) -> Callable[[Callable[[GroupT], ResultT]], Callable[..., ResultT]]:
    """Turns a function of one dataclass object into a command of typer.

    Args:
        group: dataclass. Each field is ``Annotated`` with typer's ``Argument`` or ``Option``. A
            field without a default is required.

    Returns:
        A decorator. The decorated function has a parameter for each field, and keeps its help.
    """

    def decorate(function: Callable[[GroupT], ResultT]) -> Callable[..., ResultT]:
        def command(**values: Any) -> ResultT:
            return function(group(**values))

        hints = get_type_hints(group, include_extras=True)
        members: tuple[Field[Any], ...] = fields(group)  # type: ignore[arg-type]
        names = [member.name for member in members]
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__annotations__ = {name: hints[name] for name in names}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    member.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=_default(member),
                    annotation=hints[member.name],
                )
                for member in members
            ]
        )
        return command

    return decorate


def _default(member: "Field[Any]") -> Any:
    if member.default_factory is not MISSING:
        return member.default_factory()
    return inspect.Parameter.empty if member.default is MISSING else member.default
