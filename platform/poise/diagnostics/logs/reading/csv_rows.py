"""Reads CSV files, such as ``metrics.csv`` of Lightning or exports of Weights & Biases.

In: lines of text. Out: rows of numbers, without empty cells. Next:
``diagnostics/logs/reading/opening.py``.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from poise.config.errors import PoiseError
from poise.config.wording import counted
from poise.diagnostics.logs.reading.cells import number

_DELIMITERS = ",;\t"


def csv_rows(lines: Iterable[str], path: Path, notes: list[str]) -> Iterator[dict[str, float]]:
    """Yields the numbers of every row.

    Args:
        lines: lines of the file. The first line contains the names of the columns. Cells are
            separated by commas, semicolons or tabs. With semicolons, numbers may have a decimal
            comma.
        path: path of the file, for the error.
        notes: list to which a sentence about malformed rows is appended.

    Raises:
        PoiseError: there is no line with names, a name appears twice, or all rows are malformed.
    """
    lines = iter(lines)
    first = next(lines)
    delimiter = max(_DELIMITERS, key=first.count)
    header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    _check_header(header, delimiter in first, path)
    good = broken = 0
    for cells in _cells(lines, delimiter, path):
        if not any(cells):
            continue
        if len(cells) != len(header) or cells == header:
            broken += 1
            continue
        good += 1
        yield _row(header, cells, delimiter)
    if broken > good or not good:
        rows = f"none of its {broken} rows has" if broken else "it has no rows with"
        raise PoiseError(f"{path}: {rows} the {len(header)} cells that its first line names")
    if broken:
        notes.append(f"left out {counted(broken, 'row')} without {len(header)} cells")


def _check_header(header: list[str], is_split: bool, path: Path) -> None:
    if not is_split:
        raise PoiseError(
            f"{path}: is neither JSON lines nor CSV (its first line is “{''.join(header)[:60]}”); "
            "name a log with one JSON object per line, or a CSV file with a line of names"
        )
    if all(number(name) is not None for name in header):
        raise PoiseError(
            f"{path}: its first line holds numbers; add a line with the names of the columns"
        )
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise PoiseError(f"{path}: two columns are called '{twice}'; rename one of them")


def _cells(lines: Iterable[str], delimiter: str, path: Path) -> Iterator[list[str]]:
    try:
        yield from csv.reader(lines, delimiter=delimiter)
    except csv.Error as error:
        raise PoiseError(f"{path}: is not CSV: {error}") from None


def _row(header: list[str], cells: list[str], delimiter: str) -> dict[str, float]:
    row = {}
    for name, cell in zip(header, cells, strict=True):
        text = cell if delimiter == "," else cell.replace(",", ".")
        found = number(text)
        if found is not None and name:
            row[name] = found
    return row
