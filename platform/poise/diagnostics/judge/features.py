"""Finds dimensional collapse: features that use too few dimensions.

In: logged steps and the limits. Out: a ``Verdict`` of dimensional collapse, or None. Next:
``poise.diagnostics.judge.judge``, which calls this function if teacher and decoder are not at
fault.

How it decides. Features that lie on a few lines say little, however well the head above them keeps
its prototypes apart (arXiv 2110.09348). RankMe depends on the backbone's width and on the number
of images, so it is compared with its own value in the network that the run began with. That is the
first logged step: its features are computed before the first update. A healthy run that begins with
random weights keeps about half of this value, and at the lowest a third, because untrained features
have a large common part that disappears.
"""

from dataclasses import dataclass

from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.persistence import stretch_at_end, why_too_short
from poise.diagnostics.judge.teacher_points import is_copy
from poise.diagnostics.judge.verdict import Limits, Verdict, VerdictKind


@dataclass(frozen=True)
class _Point:
    """Features of one logged step."""

    step: int
    rank: float
    """RankMe, from 1 to the smaller of the numbers of feature dimensions and images."""

    ema_gap: float | None


def find_lost_dimensions(
    history: History, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """Returns a verdict if the features lost dimensions and did not regain them, else None."""
    points = [
        _Point(step, metrics["features/rankme"], metrics.get("teacher/ema_gap"))
        for step, metrics in history
        if "features/rankme" in metrics
    ]
    if not points:
        return None
    first = max(point.rank for point in points[: limits.min_observations])
    tail = stretch_at_end(points, lambda point: point.rank < limits.lost_rank_share * first, limits)
    if not tail:
        return None
    kind, steps = VerdictKind.DIMENSIONAL, [point.step for point in tail]
    if why_too_short(kind, steps, limits.min_observations, planned_steps or steps[-1], limits):
        return None
    most = max(point.rank for point in tail)
    evidence = (
        f"since step {tail[0].step} RankMe of the features is at most {most:.3g}, "
        f"{most / first:.0%} of the {first:.3g} at the beginning"
    )
    copied = is_copy((point.ema_gap for point in tail), limits)
    return Verdict(kind, tail[0].step, evidence, advice.collapsed(kind, copied))
