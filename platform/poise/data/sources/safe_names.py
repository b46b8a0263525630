"""Makes names of files and classes safe for messages, terminals and JSON files.

In: any text. Out: one printable line, or an error with the fix. Next: all modules of
``poise.data.sources``.
"""

from collections.abc import Iterable

from poise.config.errors import PoiseError

LONGEST_ERROR = 200
"""Largest number of characters of a library's error that a message shows."""


def shown(text: str) -> str:
    """Returns the text with printable characters only. Other characters become escapes or �."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in clean
    )


def is_utf8(text: str) -> bool:
    """Returns True if the text can be encoded as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_class_names(where: str, names: Iterable[str]) -> None:
    """Checks that the class names can be written to a manifest.

    Raises:
        PoiseError: a name is not UTF-8.
    """
    for name in names:
        if not is_utf8(name):
            raise PoiseError(
                f"{shown(where)}: the class name '{shown(name)}' is not UTF-8; rename it "
                "(a whole tree of Latin-1 names: `convmv -f latin1 -t utf-8 -r --notest FOLDER`)"
            )
