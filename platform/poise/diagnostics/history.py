"""A run's metrics over its steps.

In: the numbers of logged steps. Out: ``History``. Next: ``poise.diagnostics.judge``.
"""

from collections.abc import Mapping, Sequence

Entry = tuple[int, Mapping[str, float]]
"""A logged step (optimiser steps finished) and its metrics."""

History = Sequence[Entry]
"""The entries of a run, with rising steps. An entry holds the metrics of its own step only."""


def newest_metrics(history: History) -> dict[str, float]:
    """The newest value of every metric that the history holds."""
    newest: dict[str, float] = {}
    for _, metrics in history:
        newest |= metrics
    return newest
