"""Reads JSON lines, such as ``log.txt`` of DINO and MAE and ``training_metrics.json`` of DINOv2.

In: lines of text. Out: rows of numbers. Next: ``diagnostics/logs/reading/opening.py``.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from poise.config.errors import PoiseError
from poise.diagnostics.logs.reading.cells import numbers

_PATIENCE = 100


def json_rows(lines: Iterable[str], path: Path, notes: list[str]) -> Iterator[dict[str, float]]:
    """Yields the numbers of every JSON object. Malformed lines are left out.

    Args:
        lines: lines of the file, with one JSON object per line. ``NaN`` and ``Infinity`` are
            numbers.
        path: path of the file, for the error.
        notes: list to which sentences about malformed lines are appended.

    Raises:
        PoiseError: more than half of the lines are malformed.
    """
    good = broken = 0
    first_broken = number = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _parsed(line)
        if row is None:
            broken, first_broken = broken + 1, first_broken or number
            if broken > _PATIENCE and broken > good:
                break
        else:
            good += 1
            yield row
    if broken > good or not good:
        raise PoiseError(
            f"{path}: {broken} of its lines are not JSON objects (first: line {first_broken}); a "
            "log has one JSON object per line, such as log.txt in the output folder of DINO"
        )
    if broken == 1 and first_broken == number:
        notes.append("its last line is cut off and is left out")
    elif broken:
        notes.append(
            f"{broken} of {number} lines are not JSON objects and are left out (first: line "
            f"{first_broken})"
        )


def _parsed(line: str) -> dict[str, float] | None:
    try:
        row = json.loads(line)
        return dict(numbers(row)) if isinstance(row, dict) else None
    except (ValueError, RecursionError):
        return None
