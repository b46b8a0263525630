"""Metrics of a run over its steps.

In: the metrics of logged steps. Out: ``History``. Next: ``poise.diagnostics.judge``.
"""

from collections.abc import Mapping, Sequence

Entry = tuple[int, Mapping[str, float]]
"""Logged step (number of finished optimiser steps) and its metrics."""

History = Sequence[Entry]
"""Entries of a run, with rising steps. An entry holds only the metrics of its own step."""


def newest_metrics(history: History) -> dict[str, float]:
    """Returns the newest value of every metric in the history."""
    newest: dict[str, float] = {}
    for _, metrics in history:
        newest |= metrics
    return newest
