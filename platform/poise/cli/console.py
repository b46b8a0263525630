"""Prints lines, symbols and tables for a terminal or for a pipe.

In: plain values. Out: text on stdout. A terminal gets colours and wrapped cells. A pipe gets plain
columns with one row per line, for `grep` and `cut`.
"""

import sys
from collections.abc import Sequence
from typing import Literal, TextIO

State = Literal["works", "warning", "broken"]

_MARKS: dict[State, tuple[str, str, str]] = {
    "works": ("✓", "ok", "green"),
    "warning": ("!", "!", "yellow"),
    "broken": ("✗", "x", "red"),
}


def is_terminal(stream: TextIO | None = None) -> bool:
    """Returns True if the stream is a terminal. Only a terminal shows colours and progress bars."""
    return (stream or sys.stdout).isatty()


def mark(state: State, stream: TextIO | None = None) -> str:
    """Returns ✓, ! or ✗, or ASCII letters if the stream's encoding does not have these symbols."""
    symbol, plain, _ = _MARKS[state]
    encoding = (stream or sys.stdout).encoding or "ascii"
    try:
        symbol.encode(encoding)
    except UnicodeEncodeError:
        return plain
    return symbol


def print_marked(state: State, text: str) -> None:
    """Prints a line that begins with a symbol for the state, such as ✓.

    On a terminal, the symbol has a colour.
    """
    symbol = mark(state)
    if is_terminal():
        from rich.console import Console
        from rich.text import Text

        line = Text.assemble((symbol, _MARKS[state][2]), " ", text)
        Console(highlight=False).print(line, soft_wrap=True)
    else:
        print(symbol, text)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table. Columns with only numbers are aligned right."""
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    numeric = [
        all(isinstance(row[column], int | float | None) for row in rows)
        for column in range(len(headers))
    ]
    if is_terminal():
        _print_rich(headers, cells, numeric)
    else:
        _print_plain(headers, cells, numeric)


def _print_rich(
    headers: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header, is_number in zip(headers, numeric, strict=True):
        table.add_column(header, justify="right" if is_number else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


def _print_plain(
    headers: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> None:
    lines = [list(headers), *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    for line in lines:
        padded = (
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(line, widths, numeric, strict=True)
        )
        print("  ".join(padded).rstrip())
