"""Opens a log: finds its file format, and reads the file.

In: a path from the user. Out: a ``Log``. Next: ``diagnostics/logs/meaning``.
"""

import shlex
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from poise.config.errors import PoiseError, first_few
from poise.config.paths import given_path
from poise.config.wording import counted
from poise.diagnostics.logs.log import Log
from poise.diagnostics.logs.reading.axis import Row, find_axis
from poise.diagnostics.logs.reading.collector import Collector
from poise.diagnostics.logs.reading.csv_rows import csv_rows
from poise.diagnostics.logs.reading.event_files import EVENTS, read_events
from poise.diagnostics.logs.reading.json_lines import json_rows
from poise.diagnostics.logs.reading.text import read_lines

_PATTERNS = ("log.txt", "log.txt.gz", "training_metrics.json", "*.jsonl", "*.csv", "*.csv.gz")
_SAMPLE = 1000
_DEPTH = 4


def open_log(text: str, step_column: str | None = None) -> Log:
    """Reads a log.

    Args:
        text: path of a file, or of a folder that contains one log.
        step_column: column that counts the steps; None finds the column.

    Raises:
        PoiseError: there is no log, there are several logs, or the log cannot be read.
    """
    path = given_path(text)
    if not path.exists():
        raise PoiseError(f"{text}: there is no such file or folder")
    path = _only_log(path) if path.is_dir() else path
    if path.is_dir() or EVENTS in path.name:
        if step_column is not None:
            raise PoiseError(f"{path}: TensorBoard's event files have their own steps")
        return read_events(path)
    notes: list[str] = []
    lines = read_lines(path, notes)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise PoiseError(f"{path}: is empty or cut off before its first line ends; copy it again")
    if first.lstrip().startswith("["):
        raise PoiseError(
            f"{path}: is one JSON list, not one JSON object per line; turn it into lines: jq -c "
            f"'.[]' {shlex.quote(str(path))} > log.jsonl"
        )
    is_json = first.lstrip().startswith("{")
    rows = (json_rows if is_json else csv_rows)(chain([first], lines), path, notes)
    return _collected(str(path), "JSON lines" if is_json else "CSV", rows, notes, step_column)


def _collected(
    source: str, layout: str, rows: Iterator[Row], notes: list[str], step_column: str | None
) -> Log:
    sample = list(islice(rows, _SAMPLE))
    axis = find_axis(sample, step_column, source)
    collector, without = Collector(), 0
    for index, row in enumerate(chain(sample, rows)):
        step = axis.step(row, index)
        if step is None:
            without += 1
            continue
        collector.add(step, {name: row[name] for name in row if name != axis.column})
    collector.check_order(source)
    notes += [axis.note] if axis.note else []
    notes += [f"left out {counted(without, 'row')} without {axis.unit}"] if without else []
    notes += collector.notes(axis.unit)
    return Log(source, layout, axis.unit, collector.history, collector.rows, tuple(notes))


def _only_log(folder: Path) -> Path:
    """Returns the only log in a folder. If it consists of event files, returns their folder."""
    found = sorted(set(_logs(folder)))
    if not found:
        raise PoiseError(
            f"{folder}: has no log; name the file (looked for {', '.join(_PATTERNS)} and {EVENTS}*)"
        )
    if len(found) > 1:
        commands = [f"poise judge {shlex.quote(str(path))}" for path in found]
        raise PoiseError(
            f"{folder}: has {len(found)} logs; name one: {first_few(commands, most=4)}"
        )
    return found[0]


def _logs(folder: Path) -> Iterable[Path]:
    for depth in range(_DEPTH):
        for pattern in _PATTERNS:
            yield from filter(Path.is_file, folder.glob("*/" * depth + pattern))
        yield from (path.parent for path in folder.glob("*/" * depth + f"*{EVENTS}*"))
