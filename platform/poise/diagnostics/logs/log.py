"""Log of a run, with the column names of the program that wrote it.

In: rows from the readers of ``diagnostics/logs/reading``. Out: a ``Log``. Next:
``diagnostics/logs/meaning``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from poise.diagnostics.history import History

COUNTED_ROWS = "row"
"""Unit of a log that has no column of steps or epochs. Then the rows are counted."""


@dataclass(frozen=True)
class Log:
    """Contents of a log: numbers by step."""

    source: str
    """Name of the log as the user gave it: a path, or the address of a run."""

    layout: str
    """Kind of file: ``JSON lines``, ``CSV``, ``TensorBoard`` or ``MLflow``."""

    unit: str
    """Unit of the steps of the history: ``step``, ``epoch``, or ``row``."""

    history: History
    """Values by step, with the column names of the log."""

    rows: int
    """Number of rows that were read."""

    notes: tuple[str, ...] = ()
    """Sentences about rows that were left out or changed while reading."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of the run that are stored with the log."""

    @property
    def columns(self) -> dict[str, int]:
        """Maps each column of numbers to its number of values, in the order of the log."""
        counts: dict[str, int] = {}
        for _, values in self.history:
            for name in values:
                counts[name] = counts.get(name, 0) + 1
        return counts
