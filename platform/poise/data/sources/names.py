"""Makes names of files and classes safe for people, terminals and JSON files.

In: any text. Out: one printable line, or an error that names the fix. Next: every module of
``poise.data.sources``.
"""

from collections.abc import Iterable

from poise.config.errors import PoiseError

LONGEST_ERROR = 200
"""Largest number of characters that are quoted from a library's error."""


def shown(text: str) -> str:
    """Returns the text in printable UTF-8. Every other character becomes an escape or �."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in clean
    )


def counted(number: int, one: str, many: str = "") -> str:
    """Returns a number with its noun: ``1 image``, ``1,200 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def is_utf8(text: str) -> bool:
    """Returns True if the text can be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_class_names(where: str, names: Iterable[str]) -> None:
    """Checks that a manifest can hold these class names.

    Raises:
        PoiseError: a name is not UTF-8.
    """
    for name in names:
        if not is_utf8(name):
            raise PoiseError(
                f"{shown(where)}: the class name '{shown(name)}' is not UTF-8; rename it "
                "(a whole tree of Latin-1 names: `convmv -f latin1 -t utf-8 -r --notest FOLDER`)"
            )
