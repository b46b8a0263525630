"""Source of a metric: the columns from which it is computed.

In: ``--metric NAME=COLUMN[UNIT]``, or a published format. Out: ``Source``. Next:
``diagnostics/logs/meaning/naming.py``.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from poise.config.errors import PoiseError, did_you_mean
from poise.config.metrics import METRICS

STEP = "step"
"""Name in ``--metric`` that stands for the column of steps, not for a metric."""

SHORT_NAMES = {"loss": "loss/total"}
"""Usual short names of metrics. Full names, and last parts that are unique, are also accepted."""

UNITS: dict[str, Callable[[float], float]] = {
    "percent": lambda value: value / 100,
    "bits": lambda value: value * math.log(2),
    "log10": lambda value: 10**value if value < 300 else math.inf,
}
"""Maps each unit that a column may have to the function that converts the column's values."""


@dataclass(frozen=True)
class Source:
    """Source of a metric: a weighted sum of columns."""

    weights: Mapping[str, float]
    """Weight of each column."""

    unit: str = ""
    """Unit of the columns, a key of ``UNITS``; empty if values need no conversion."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a row must contain."""
        return tuple(self.weights)

    def value(self, row: Mapping[str, float]) -> float | None:
        """Returns the metric's value in a row; None if the row lacks a value that is needed."""
        if not all(column in row for column in self.weights):
            return None
        total = sum(weight * row[column] for column, weight in self.weights.items())
        return UNITS[self.unit](total) if self.unit else total

    def __str__(self) -> str:
        terms = [
            column if weight == 1 else f"{weight:.3g}·{column}"
            for column, weight in self.weights.items()
        ]
        return " + ".join(terms) + (f" [{self.unit}]" if self.unit else "")


def column(name: str) -> Source:
    """Makes a ``Source`` for a metric whose values are the values of one column."""
    return Source({name: 1.0})


def read_given(texts: Sequence[str]) -> tuple[dict[str, Source], str | None]:
    """Reads the options ``--metric NAME=COLUMN[UNIT]``.

    Returns:
        The source of each named metric, and the column of steps if one was named.

    Raises:
        PoiseError: a text has another form, or its metric is unknown or given twice.
    """
    sources: dict[str, Source] = {}
    step = None
    for text in texts:
        name, equals, rest = text.partition("=")
        if not equals or not name.strip() or not rest.strip():
            raise PoiseError(
                f"--metric {text}: write NAME=COLUMN, such as --metric loss=train_loss"
            )
        if name.strip() == STEP:
            step = rest.strip()
            continue
        metric = metric_named(name.strip())
        if metric in sources:
            raise PoiseError(f"--metric {text}: {metric} is given twice")
        sources[metric] = _source(rest.strip(), text)
    return sources, step


def metric_named(name: str) -> str:
    """Finds a metric by its full name, a short name, or the last part of its name, if it is unique.

    Raises:
        PoiseError: no metric or several metrics have this name.
    """
    full = SHORT_NAMES.get(name, name)
    if full in METRICS:
        return full
    ending = sorted(metric for metric in METRICS if metric.endswith(f"/{name}"))
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise PoiseError(f"--metric {name}=…: several metrics end so; write {' or '.join(ending)}")
    raise PoiseError(
        f"--metric {name}=…: Poise knows no such metric; "
        + did_you_mean(name, sorted(METRICS), "docs/judge.md lists those that are judged")
    )


def _source(text: str, given: str) -> Source:
    match = re.fullmatch(r"(.+?)\[(\w+)\]", text)
    if match is None or match[2] not in UNITS:
        return column(text)
    return Source({match[1].strip(): 1.0}, match[2])
