"""Reads the scalars of TensorBoard's event files with TensorBoard's own reader.

In: an event file, or a folder with the event files of one run. Out: a ``Log``. Next:
``diagnostics/logs/meaning``.

Each series is collected separately, because many programs log some series by step and others by
epoch.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from poise.config.errors import PoiseError
from poise.diagnostics.logs.log import Log
from poise.diagnostics.logs.reading.collector import MAX_VALUES, Collector

EVENTS = "events.out.tfevents"
_MOST_SERIES = 500


def read_events(path: Path) -> Log:
    """Reads an event file, or all event files in a folder, from the oldest to the newest.

    Raises:
        PoiseError: TensorBoard is not installed, or there are no scalars.
    """
    files = sorted(path.glob(f"*{EVENTS}*")) if path.is_dir() else [path]
    series: dict[str, Collector] = {}
    for file in files:
        for name, step, value in _scalars(file):
            if name not in series:
                if len(series) == _MOST_SERIES:
                    raise PoiseError(f"{path}: has more than {_MOST_SERIES} series of scalars")
                series[name] = Collector(max_values=MAX_VALUES // _MOST_SERIES)
            series[name].add(step, {name: value})
    if not series:
        raise PoiseError(f"{path}: has no scalars; was the run's writer flushed?")
    entries: dict[int, dict[str, float]] = {}
    for name, collector in series.items():
        collector.check_order(f"{path}: {name}")
        for step, values in collector.history:
            entries.setdefault(step, {}).update(values)
    rows = sum(collector.rows for collector in series.values())
    notes = {
        f"{name}: {note}" for name, collector in series.items() for note in collector.notes("step")
    }
    return Log(
        str(path), "TensorBoard", "step", sorted(entries.items()), rows, tuple(sorted(notes))
    )


def _scalars(file: Path) -> Iterator[tuple[str, int, float]]:
    """Yields name, step and value of every scalar. An incomplete end of the file is ignored."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util.tensor_util import make_ndarray
    except ModuleNotFoundError:
        raise PoiseError(
            f"{file}: to read TensorBoard's event files run `pip install 'poise[tensorboard]'`, or "
            "export the scalars as CSV"
        ) from None
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    for event in EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars":
                yield value.tag, event.step, float(make_ndarray(value.tensor).item())
