"""Collects the options of a command in one object.

In: a dataclass whose fields are typer's options. Out: a command that receives one such object.
Next: every command that would otherwise have too many parameters.

Typer reads a command's options from its parameters, one each. Without this module, a command with
ten options would be a function with ten parameters, and so would every function that it calls.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, get_type_hints

GroupT = TypeVar("GroupT")


def options_of(group: type[GroupT]) -> Callable[[Callable[[GroupT], None]], Callable[..., None]]:
    """Turns a function of one object into a command of typer.

    Args:
        group: dataclass. Each field is ``Annotated`` with typer's ``Argument`` or ``Option``. A
            field without a default is required.

    Returns:
        A decorator. Its result has a parameter for each field, and the function's help.
    """

    def decorate(function: Callable[[GroupT], None]) -> Callable[..., None]:
        def command(**values: Any) -> None:
            function(group(**values))

        hints = get_type_hints(group, include_extras=True)
        members: tuple[Field[Any], ...] = fields(group)  # type: ignore[arg-type]
        names = [member.name for member in members]
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__annotations__ = {name: hints[name] for name in names} | {"return": None}
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
