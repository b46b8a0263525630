"""What the page is made of.

In: plain values. Out: tables, charts and sections that the template writes down. Next:
``poise.reports.study.page``.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from markupsafe import Markup
from plotly.graph_objects import Figure


class Cell(NamedTuple):
    """A table's cell: what it says, and in smaller letters how sure that is."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption; its first column names the rows."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int] = frozenset()
    """Columns that are aligned right."""

    emphasized: frozenset[int] = frozenset()
    """Rows that are set apart: the baseline."""

    below: tuple[str, ...] = ()
    """A sentence under each row, as wide as the table; none where it is empty."""


def table(
    caption: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[str | Cell]],
    numbers: Sequence[int] = (),
    emphasized: Sequence[int] = (),
    below: Sequence[str] = (),
) -> Table:
    """A table of texts and cells."""
    cells = (tuple(c if isinstance(c, Cell) else Cell(c) for c in row) for row in rows)
    return Table(
        caption,
        tuple(headers),
        tuple(cells),
        frozenset(numbers),
        frozenset(emphasized),
        tuple(below),
    )


@dataclass(frozen=True)
class Chart:
    """An interactive figure with its numbers behind it."""

    name: str
    """Its id on the page."""

    figure: Figure
    conclusion: str
    """What one sees in it, for whom the picture says nothing."""

    caption: str
    table: Table
    key: tuple[tuple[str, str, str], ...] = ()
    """Colour, glyph and word of what colours stand for."""

    share: float = 1.0
    """Of a printed line's width."""

    @property
    def json(self) -> Markup:
        """The figure for the page's script."""
        return embedded(self.figure.to_plotly_json())


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    table: Table | None = None
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    template: str = "section.html"
    """That writes it down."""

    content: dict[str, Any] = field(default_factory=dict)
    """What its own template needs beside."""


def embedded(content: Any) -> Markup:
    """JSON that cannot end the script element that it is in."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def literal(text: str) -> str:
    """Text for a figure, whose library reads some HTML (``<a href=…>``) in labels."""
    return html.escape(text, quote=False)
