"""Trials that no other beats in every metric.

In: records, and the metrics that a space weighs. Out: the Pareto front. Next:
``poise.sweeps.running``.
"""

from collections.abc import Sequence

from poise.config.space import Goal
from poise.sweeps.estimates import is_figure
from poise.sweeps.outcomes import is_healthy
from poise.sweeps.records import TrialRecord


def pareto_front(records: Sequence[TrialRecord], goals: Sequence[Goal]) -> list[TrialRecord]:
    """The healthy trials that trained to their end and that no other of these dominates.

    One trial dominates another if it is as good in every metric and better in one. The front is
    in the order of the first metric, the best first; a trial that lacks a figure is not on it.
    """
    candidates = [
        (record, _gains(record, goals))
        for record in records
        if record.state == "finished"
        and is_healthy(record)
        and all(is_figure(record.metrics.get(goal.metric)) for goal in goals)
    ]
    front = [
        (record, gains)
        for record, gains in candidates
        if not any(_dominates(other, gains) for _, other in candidates)
    ]
    return [record for record, _ in sorted(front, key=lambda pair: pair[1], reverse=True)]


def _gains(record: TrialRecord, goals: Sequence[Goal]) -> tuple[float, ...]:
    """Its figures, turned so that more is better."""
    return tuple(record.metrics[metric] * (1 if mode == "max" else -1) for metric, mode in goals)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
