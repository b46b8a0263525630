"""History of a run's metrics.

In: the metrics of logged steps. Out: a ``History``. Next: ``poise.diagnostics.judge``.
"""

from collections.abc import Mapping, Sequence

Entry = tuple[int, Mapping[str, float]]
"""Pair of a logged step (number of finished optimiser steps) and the metrics of this step."""

History = Sequence[Entry]
"""Entries of a run, in ascending order of steps. An entry contains only the metrics of its own
step.
"""


def newest_metrics(history: History) -> dict[str, float]:
    """Maps each metric in the history to its newest value."""
    newest: dict[str, float] = {}
    for _, metrics in history:
        newest |= metrics
    return newest
