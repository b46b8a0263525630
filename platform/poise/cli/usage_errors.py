"""Explains mistakes in a command line in one line, with the fix.

In: the error of the command-line library. Out: ``poise data: no command is called 'prepair'; did
you mean 'prepare'?``. Next: `poise.cli.main`, which prints the line.
"""

import re
from typing import Any

import typer

from poise.config.errors import did_you_mean
from poise.config.wording import requirement

# Depending on its version, Typer uses Click or contains a copy of it. Both have this class.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def is_help(error: Any) -> bool:
    """Returns True if the error only asks for help, for example after a group without a command."""
    return type(error).__name__ == "NoArgsIsHelpError"


def explain(error: Any) -> str:
    """Returns one line with the command, the words that the user typed, and the accepted words."""
    context = error.ctx
    if context is None:
        return _sentence(error)
    return f"{context.command_path}: {_what_is_wrong(error, context)}"


def _what_is_wrong(error: Any, context: Any) -> str:
    if hasattr(error, "possibilities"):
        known = _nearest_or_all(error.option_name, _options(context), "it takes")
        return f"no option is called '{error.option_name}'{known}"
    if hasattr(error, "param_type"):
        return f"{_name(error.param)} is missing; write `{_pattern(context)}`"
    if getattr(error, "param", None) is not None:
        return _wrong_value(error)
    typed = re.search(r"'(.*?)'", error.message)
    if hasattr(context.command, "list_commands") and typed:
        known = _nearest_or_all(typed[1], context.command.list_commands(context), "there are")
        return f"no command is called '{typed[1]}'{known}"
    extra = re.search(r"extra argument.*\((.*)\)", error.message)
    found = f"takes no '{extra[1]}'" if extra else _sentence(error)
    return f"{found}; write `{_pattern(context)}`"


def _nearest_or_all(typed: str, names: list[str], all_are: str) -> str:
    all_names = f"{all_are} {', '.join(names)}"
    return f"; {did_you_mean(typed, names, all_names)}"


def _wrong_value(error: Any) -> str:
    name, cause = _name(error.param), error.__cause__
    if not hasattr(cause, "errors"):
        return f"{name}: {error.message}"
    details = cause.errors()[0]
    return f"{name} {details['input']} must be {requirement(details)}"


def _sentence(error: Any) -> str:
    text = str(error.message).rstrip(".")
    return text[:1].lower() + text[1:]


def _options(context: Any) -> list[str]:
    names = [name for each in context.command.get_params(context) for name in each.opts]
    return [name for name in names if name.startswith("--")]


def _name(parameter: Any) -> str:
    """Returns the name of an option or argument, such as ``--name`` or ``DATASET``."""
    if parameter.param_type_name == "option":
        return str(parameter.opts[0])
    return str(parameter.metavar or parameter.name).upper()


def _pattern(context: Any) -> str:
    """Returns the command with its arguments and without its options, for an error message."""
    arguments = [each for each in context.command.params if each.param_type_name == "argument"]
    words = [_name(each) if each.required else f"[{_name(each)}]" for each in arguments]
    return " ".join([context.command_path, *words])
