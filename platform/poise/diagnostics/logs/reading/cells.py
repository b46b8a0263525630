"""Converts the cells of a row to numbers.

In: the cells of a parsed row. Out: floats. Next: ``json_lines`` and ``csv_rows`` in this folder.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def number(value: Any) -> float | None:
    """Converts a cell to a float; returns None if the cell is not a number.

    Text that contains a number is converted. ``NaN`` and ``Infinity`` are numbers. A whole number
    that is too large for a float becomes infinite.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        value = value.strip().replace("_", "x")  # Python would read 1_000
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    except (TypeError, ValueError):
        return None


def numbers(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yields the names and numbers of a row. A nested group gives names such as ``group/name``."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{prefix}{name}/")
        elif (found := number(value)) is not None:
            yield f"{prefix}{name}", found
