"""Defines the class of errors that users see, and functions for their messages."""

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar


class PoiseError(Exception):
    """Expected failure, such as wrong input, a missing file, or a server that does not answer.

    The message is one line with the wrong value, its origin and the fix. The command line prints
    the message and exits with ``exit_status``. Every other exception is a bug and shows a
    traceback.
    """

    exit_status: ClassVar[int] = 2


class OutageError(PoiseError):
    """Failure of a storage or a network that may soon work again."""


def one_line(message: object, longest: int | None = None) -> str:
    """Removes the line breaks from a message, for example from a library's error.

    Args:
        message: error or text.
        longest: largest number of characters to keep; None keeps all.
    """
    return " ".join(str(message).split())[:longest]


def first_few(names: Sequence[str], most: int = 12) -> str:
    """Lists the first names and counts the rest: ``a, b, c and 9 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def closest_name(typed: str, known: Iterable[str]) -> str | None:
    """Finds the known name that is most similar to an unknown name; None if none is similar."""
    close = difflib.get_close_matches(typed, [*known], n=1)
    return close[0] if close else None


def did_you_mean(typed: str, known: Sequence[str], otherwise: str) -> str:
    """Returns the end of an error about an unknown name: ``did you mean 'x'?``, or ``otherwise``.

    The question is returned if a known name is similar.
    """
    close = closest_name(typed, known)
    return f"did you mean '{close}'?" if close else otherwise
