"""Parts of Markdown that may contain any text.

In: texts. Out: lines. Next: ``poise.reports.study.markdown``.
"""

from collections.abc import Iterable, Iterator, Sequence

from poise.studies.number_format import NOTHING


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yields a table and an empty line. No text in a cell can break its row."""
    for line in (headers, ["---"] * len(headers), *rows):
        yield f"| {' | '.join(inline(cell).replace('|', chr(92) + '|') for cell in line)} |"
    yield ""


def inline(text: str) -> str:
    """Puts the text in one line, so that nothing in it begins a tag."""
    return " ".join(text.split()).replace("<", "&lt;")


def fenced(text: str, language: str = "") -> Iterator[str]:
    """Yields a block of code. Its fences are longer than any fence inside."""
    fence = "```"
    while fence in text:
        fence += "`"
    yield from (f"{fence}{language}", text.rstrip(), fence)


def beside(text: str, aside: str | None) -> str:
    """Adds a note in brackets after the text, if both are known."""
    return f"{text} ({aside})" if aside and text != NOTHING else text
