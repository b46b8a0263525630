"""Reads the values of a run's metrics from the store.

In: a store and names of metrics. Out: pairs of a step and a value. Next:
``poise.tracking.history``.
"""

import sys
from collections.abc import Iterable

from mlflow import entities

from poise.tracking.store import Store, explained


@explained()
def history(store: Store, run_id: str, keys: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
    """Returns the ``(step, value)`` pairs of each metric, in the order of steps.

    If a step was trained again after an interruption, it is stored twice. The later value is
    returned.
    """
    return {key: _newest(store.client.get_metric_history(run_id, key)) for key in keys}


def _newest(points: Iterable[entities.Metric]) -> list[tuple[int, float]]:
    by_step = {}
    for point in sorted(points, key=lambda point: point.timestamp):
        by_step[point.step] = point.value
    return sorted((step, unclipped(value)) for step, value in by_step.items())


def unclipped(value: float) -> float:
    """Returns infinity for the largest float, and other values unchanged.

    A database cannot store infinity, so MLflow stores the largest float instead.
    """
    if abs(value) >= sys.float_info.max * (1 - 1e-9):
        return float("inf") if value > 0 else float("-inf")
    return value
