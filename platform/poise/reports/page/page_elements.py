"""Parts of a page: cells, tables, charts and sections.

In: plain values. Out: objects that the templates turn into HTML. Next:
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
    """Cell of a table, with its text and a note in small print, such as an interval."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Table with a caption. The first column contains the names of the rows."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int] = frozenset()
    """Indices of the columns that are aligned right."""

    emphasized: frozenset[int] = frozenset()
    """Indices of the rows that are emphasized, such as the baseline."""

    below: tuple[str, ...] = ()
    """Sentence below each row, as wide as the table. It is empty if no row has a sentence."""


def table(
    caption: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[str | Cell]],
    numbers: Sequence[int] = (),
    emphasized: Sequence[int] = (),
    below: Sequence[str] = (),
) -> Table:
    """Makes a table from texts and cells. The arguments are the fields of ``Table``."""
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
    """Interactive chart, with a table of its numbers."""

    name: str
    """Id of the chart on the page."""

    figure: Figure
    conclusion: str
    """Sentence about the content of the chart, for people who cannot see the chart."""

    caption: str
    table: Table
    key: tuple[tuple[str, str, str], ...] = ()
    """Legend of colours. Each entry has a colour, a symbol and a word."""

    share: float = 1.0
    """Width of the chart as a share of the printed page, from 0 to 1."""

    @property
    def json(self) -> Markup:
        """Chart as JSON for the page's script."""
        return embedded(self.figure.to_plotly_json())


@dataclass(frozen=True)
class Section:
    """Section of a page, with its paragraphs, table, charts and notes."""

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    table: Table | None = None
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    template: str = "section.html"
    """File name of the template that writes the section."""

    content: dict[str, Any] = field(default_factory=dict)
    """More values for a template other than ``section.html``."""


def embedded(content: Any) -> Markup:
    """Writes JSON inside a script element.

    Escapes make sure that the JSON cannot end the element.
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def literal(text: str) -> str:
    """Escapes text for a figure's labels.

    Plotly interprets some HTML in labels, such as ``<a href=…>``.
    """
    return html.escape(text, quote=False)
