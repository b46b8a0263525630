"""The verdict on a run that loses what its trained start knew, from k-NN on the same queries.

In: logged evaluations and the limits. Out: a ``Verdict`` of forgetting, or none. Next:
``poise.diagnostics.judge.judge``, which asks unless the run diverged or its teacher never moved.

How it decides. At every evaluation, a run that starts from trained weights logs the share of
queries that its start classified right and that it no longer does, and the reverse. The loss is
their difference. Its lower 95 % bound says what is lost for sure. The run forgets if this is a good
part of the start's k-NN accuracy, at several evaluations up to the last one, for a part of the
plan. A new head often costs accuracy at first. So a run that wins back a part of what it had lost
is not condemned, except at the end of its plan: then what is lost stays lost.

A run that starts from random weights logs none of this, so it never forgets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from poise.config.objectives import Signals
from poise.config.wording import in_percent
from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.persistence import in_part, stretch_at_end
from poise.diagnostics.judge.verdict import Verdict, VerdictKind

_START, _NOW = "start/knn_top1", "eval/knn_top1"
_FORGOTTEN, _LEARNED, _QUERIES = "eval/knn_forgotten", "eval/knn_learned", "eval/knn_queries"
_Z = 1.959964  # 95 % of a normal distribution


@dataclass(frozen=True)
class _Point:
    """One evaluation, compared with the starting weights on the same query images."""

    step: int
    knn: float
    """k-NN accuracy in percent."""

    lost: float
    """Lost share of the starting weights' k-NN accuracy, at most 1. It is below 0 if the accuracy
    is better now.
    """

    low: float
    """Lower end of the 95 % interval of ``lost``."""

    high: float
    queries: int


def paired_loss(forgotten: float, learned: float, queries: int) -> tuple[float, float, float]:
    """Computes the difference of two accuracies on the same queries, with its 95 % interval.

    Half a query is added to each of the four outcomes, so that the interval is valid for few
    queries too (A. Agresti and Y. Min, Statistics in Medicine 24:729, 2005).

    Args:
        forgotten: percent of the queries that were right before and are wrong now.
        learned: percent of the queries that were wrong before and are right now.
        queries: their number.

    Returns:
        The loss and the ends of its interval, in percentage points; above 0 where accuracy fell.
    """
    total = queries + 2
    worse, better = (share * queries / 100 + 0.5 for share in (forgotten, learned))
    middle = (worse - better) / total
    half = _Z * math.sqrt(max((worse + better) / total - middle**2, 0) / total)
    return forgotten - learned, 100 * (middle - half), 100 * (middle + half)


def find_forgetting(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """Returns a verdict if the run lost much of its starting weights' k-NN accuracy, else None."""
    start = next((metrics[_START] for _, metrics in history if _START in metrics), None)
    points = _read_points(history, start) if start else []
    tail = stretch_at_end(points, partial(_is_lost, limits=limits), limits)
    if start is None or not tail or not _is_lasting(tail, planned_steps, limits):
        return None
    teaches = signals.num_prototypes is not None
    evidence = _evidence(tail, start, limits)
    return Verdict(VerdictKind.FORGETTING, tail[0].step, evidence, advice.forgetting(teaches))


def with_cause(forgetting: Verdict, other: Verdict) -> Verdict:
    """Adds another verdict on the same run to the verdict of forgetting.

    A verdict that does not condemn the run is not added.
    """
    if not other.condemned:
        return forgetting
    return replace(
        forgetting,
        evidence=f"{forgetting.evidence} The run is also “{other.kind}”. {other.evidence}",
        advice=f"{forgetting.advice} If this does not help, try the following. {other.advice}",
    )


def _read_points(history: History, start: float) -> list[_Point]:
    points = []
    for step, metrics in history:
        if step and _FORGOTTEN in metrics and _LEARNED in metrics:
            queries = int(metrics[_QUERIES])
            found = paired_loss(metrics[_FORGOTTEN], metrics[_LEARNED], queries)
            lost, low, high = (points_lost / start for points_lost in found)
            points.append(_Point(step, metrics[_NOW], lost, low, high, queries))
    return points


def _is_lost(point: _Point, limits: Limits) -> bool:
    return point.low >= limits.forgotten_share


def _is_lasting(tail: Sequence[_Point], planned_steps: int | None, limits: Limits) -> bool:
    """Returns True if the loss of accuracy lasts and does not heal, or if no step is left."""
    last = tail[-1]
    if last.step >= (planned_steps or last.step):
        return True
    if len(tail) < limits.min_evaluations_forgetting:
        return False
    lasted = last.step - tail[0].step
    if lasted < limits.min_share_of_plan_forgetting * (planned_steps or last.step):
        return False
    return last.lost * limits.rebound_factor >= max(point.lost for point in tail)


def _evidence(tail: Sequence[_Point], start: float, limits: Limits) -> str:
    last = tail[-1]
    since = f"Since step {tail[0].step}, the" if len(tail) > 1 else "The"
    lost = in_part(sum(_is_lost(point, limits) for point in tail), len(tail), "evaluations")
    return (
        f"{since} run has lost more than {in_percent(limits.forgotten_share, 0)} of the k-NN "
        f"accuracy of its starting weights{lost}. At step {last.step} the accuracy is "
        f"{last.knn:.1f} %. The starting weights had {start:.1f} % on the same {last.queries} "
        f"images. So {in_percent(last.lost, 0)} of it is lost (95 % interval "
        f"{in_percent(last.low, 0)} to {in_percent(last.high, 0)})."
    )
