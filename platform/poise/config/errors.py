"""The one error that a person is meant to read, and words that its messages share."""

from collections.abc import Sequence
from typing import ClassVar


class PoiseError(Exception):
    """An expected failure: wrong input, a missing file, a store that does not answer.

    Its message is one line that names the value, where it came from and the fix. The command
    line prints it and exits with ``exit_status``; every other exception is a bug and shows a
    traceback.
    """

    exit_status: ClassVar[int] = 2


def one_line(message: object, longest: int | None = None) -> str:
    """A message without its line breaks, such as an error of a library.

    Args:
        message: an error or a text.
        longest: characters that are kept; none keeps all.
    """
    return " ".join(str(message).split())[:longest]


def first_few(names: Sequence[str], most: int = 12) -> str:
    """``a, b, c and 9 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
