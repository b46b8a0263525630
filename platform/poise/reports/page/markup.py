"""Writes parts of Markdown. Texts may contain any characters.

In: texts. Out: lines of Markdown. Next: ``poise.reports.study.markdown``.
"""

from collections.abc import Iterable, Iterator, Sequence

from poise.studies.number_format import NOTHING


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table and an empty line.

    Cells are escaped, so that no text breaks a row.
    """
    for line in (headers, ["---"] * len(headers), *rows):
        yield f"| {' | '.join(inline(cell).replace('|', chr(92) + '|') for cell in line)} |"
    yield ""


def inline(text: str) -> str:
    """Puts a text on one line and escapes ``<``, so that no HTML tag begins."""
    return " ".join(text.split()).replace("<", "&lt;")


def fenced(text: str, language: str = "") -> Iterator[str]:
    """Yields a code block. Its fences are longer than any fence inside the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    yield from (f"{fence}{language}", text.rstrip(), fence)


def beside(text: str, aside: str | None) -> str:
    """Adds a note in brackets after the text, if text and note are known."""
    return f"{text} ({aside})" if aside and text != NOTHING else text
