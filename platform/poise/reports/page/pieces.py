"""Parts of a page: cells, tables, charts and sections.

In: plain values. Out: parts that the templates write. Next: ``poise.reports.study.page``.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from markupsafe import Markup
from plotly.graph_objects import Figure


class Cell(NamedTuple):
    """Cell of a table: its text, and a note in small print, such as an interval."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Table with a caption. Its first column names the rows."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int] = frozenset()
    """Columns that are aligned right."""

    emphasized: frozenset[int] = frozenset()
    """Rows that are emphasized, such as the baseline."""

    below: tuple[str, ...] = ()
    """Sentence under each row, as wide as the table; empty for no sentence."""


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
    """Interactive figure, with a table of its numbers."""

    name: str
    """Id on the page."""

    figure: Figure
    conclusion: str
    """Sentence about the content of the figure, for people who cannot see it."""

    caption: str
    table: Table
    key: tuple[tuple[str, str, str], ...] = ()
    """Legend of colours: colour, sign and word."""

    share: float = 1.0
    """Share of a printed line's width, from 0 to 1."""

    @property
    def json(self) -> Markup:
        """Figure as JSON for the page's script."""
        return embedded(self.figure.to_plotly_json())


@dataclass(frozen=True)
class Section:
    """Section of the page."""

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    table: Table | None = None
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    template: str = "section.html"
    """Template that writes the section."""

    content: dict[str, Any] = field(default_factory=dict)
    """Further values for a special template."""


def embedded(content: Any) -> Markup:
    """Writes JSON that cannot end the script element around it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def literal(text: str) -> str:
    """Escapes text for a figure's labels.

    Plotly reads some HTML in them (``<a href=…>``).
    """
    return html.escape(text, quote=False)
