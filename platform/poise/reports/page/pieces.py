"""The parts of a page: cells, tables, charts and sections.

In: plain values. Out: parts that the templates write. Next:
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
    """A cell of a table: its text, and a note in small print, such as an interval."""

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
    """Rows that are set apart, such as the baseline."""

    below: tuple[str, ...] = ()
    """A sentence under each row, as wide as the table; empty for none."""


def table(
    caption: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[str | Cell]],
    numbers: Sequence[int] = (),
    emphasized: Sequence[int] = (),
    below: Sequence[str] = (),
) -> Table:
    """A table from texts and cells; arguments are the fields of ``Table``."""
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
    """An interactive figure, with a table of its numbers behind it."""

    name: str
    """The id on the page."""

    figure: Figure
    conclusion: str
    """What the figure shows, in words, for people who cannot see it."""

    caption: str
    table: Table
    key: tuple[tuple[str, str, str], ...] = ()
    """The legend of colours: colour, sign and word."""

    share: float = 1.0
    """The share of a printed line's width, from 0 to 1."""

    @property
    def json(self) -> Markup:
        """The figure as JSON for the page's script."""
        return embedded(self.figure.to_plotly_json())


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    table: Table | None = None
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    template: str = "section.html"
    """The template that writes the section."""

    content: dict[str, Any] = field(default_factory=dict)
    """More values for a template of its own."""


def embedded(content: Any) -> Markup:
    """JSON that cannot end the script element around it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def literal(text: str) -> str:
    """Text for a figure's labels, in which Plotly would read some HTML (``<a href=…>``)."""
    return html.escape(text, quote=False)
