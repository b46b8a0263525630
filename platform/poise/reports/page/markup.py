"""Pieces of Markdown that hold anybody's text.

In: texts. Out: lines. Next: ``poise.reports.study.markdown``.
"""

from collections.abc import Iterable, Iterator, Sequence

from poise.studies.number_format import NOTHING


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table and an empty line; no cell can end its row."""
    for line in (headers, ["---"] * len(headers), *rows):
        yield f"| {' | '.join(inline(cell).replace('|', chr(92) + '|') for cell in line)} |"
    yield ""


def inline(text: str) -> str:
    """Somebody else's text, which must neither end a line nor begin a tag."""
    return " ".join(text.split()).replace("<", "&lt;")


def fenced(text: str, language: str = "") -> Iterator[str]:
    """A block of code, between fences that are not in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    yield from (f"{fence}{language}", text.rstrip(), fence)


def beside(text: str, aside: str | None) -> str:
    """A text with what stands in brackets behind it, where both are known."""
    return f"{text} ({aside})" if aside and text != NOTHING else text
