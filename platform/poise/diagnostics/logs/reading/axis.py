"""Finds the column that counts the steps of a log.

In: the first rows of a log. Out: an ``Axis``. Next: ``diagnostics/logs/reading/opening.py``.

A column of steps is preferred to a column of epochs. If there is neither, or if an epoch has many
rows, the rows are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from poise.config.errors import PoiseError, first_few
from poise.diagnostics.logs.log import COUNTED_ROWS

Row = Mapping[str, float]

_STEPS = ("step", "global_step", "iteration", "iter", "it", "iterations", "steps", "n_iter")
_EPOCHS = ("epoch", "epochs")
_PREFIXES = ("trainer/", "train/", "train_", "_")

_SHARE_WITH_STEP = 0.5
_SHARE_OF_REPEATS = 0.1
_LARGEST = 2**53  # a larger float is no exact integer


@dataclass(frozen=True)
class Axis:
    """Column that counts the steps, and its unit."""

    column: str | None
    """Name of the column; None means that the rows are counted."""

    unit: str
    note: str | None = None

    def step(self, row: Row, index: int) -> int | None:
        """Returns the step of a row; None if the row has none.

        Args:
            row: dict from columns to numbers.
            index: number of rows before this row.
        """
        if self.column is None:
            return index
        value = row.get(self.column)
        return int(value) if value is not None and _is_step(value) else None


def find_axis(rows: Sequence[Row], wanted: str | None, source: str) -> Axis:
    """Chooses the column that counts the steps of a log.

    Args:
        rows: first rows of the log.
        wanted: column that the user named; None finds the column.
        source: name of the log, for the error.

    Raises:
        PoiseError: the named column does not exist or contains other values than whole numbers.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if wanted is not None:
        return _named(rows, wanted, columns, source)
    for names, unit in ((_STEPS, "step"), (_EPOCHS, "epoch")):
        for column in sorted(columns, key=len):
            if _plain(column) in names and _counts(rows, column):
                axis = Axis(column, unit)
                return axis if unit == "step" or not _repeats(rows, column) else _counted(column)
    return Axis(None, COUNTED_ROWS, "it has no column of steps or epochs: its rows are counted")


def _named(rows: Sequence[Row], wanted: str, columns: Sequence[str], source: str) -> Axis:
    if wanted not in columns:
        raise PoiseError(
            f"{source}: --metric step={wanted}: it has no such column of numbers; there are "
            f"{first_few(columns)}"
        )
    if not _counts(rows, wanted):
        raise PoiseError(
            f"{source}: --metric step={wanted}: the column does not hold whole numbers from 0 on"
        )
    return Axis(wanted, "epoch" if _plain(wanted) in _EPOCHS else "step")


def _counted(column: str) -> Axis:
    note = f"many rows have the same '{column}', and there is no column of steps: rows are counted"
    return Axis(None, COUNTED_ROWS, note)


def _plain(column: str) -> str:
    name = column.lower()
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _counts(rows: Sequence[Row], column: str) -> bool:
    """Returns True if enough rows have a value in the column, and all values are whole numbers."""
    values = [row[column] for row in rows if column in row]
    return len(values) >= _SHARE_WITH_STEP * len(rows) and all(map(_is_step, values))


def _is_step(value: float) -> bool:
    return 0 <= value < _LARGEST and value == int(value)


def _repeats(rows: Sequence[Row], column: str) -> bool:
    """Returns True if many rows contain the same step and the same metrics as the row before."""
    repeats = sum(
        before.get(column) == after.get(column) and len(before.keys() & after.keys()) > 1
        for before, after in pairwise(rows)
    )
    return repeats > _SHARE_OF_REPEATS * len(rows)
