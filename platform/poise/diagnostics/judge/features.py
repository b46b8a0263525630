"""The verdict on a backbone's features, from how many dimensions they still use.

In: logged steps and the limits. Out: a ``Verdict`` of dimensional collapse, or none. Next:
``poise.diagnostics.judge.judge``, which asks where teacher or decoder are not condemned.

How it decides. Features that lie on a few lines tell little, however well a head above them keeps
its prototypes apart (arXiv 2110.09348). RankMe is held against its own beginning, because what it
can be depends on the backbone's width and on how many images are looked at: a healthy run keeps a
good half of it, and may fall to a third while the common part of untrained features goes.
"""

from dataclasses import dataclass

from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.persistence import stretch_at_end, why_too_short
from poise.diagnostics.judge.teacher_points import is_copy
from poise.diagnostics.judge.verdict import Limits, Verdict, VerdictKind


@dataclass(frozen=True)
class _Point:
    """One logged step's features."""

    step: int
    rank: float
    """RankMe."""

    ema_gap: float | None


def find_lost_dimensions(
    history: History, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """The verdict on features that lost their dimensions and did not regain them, or none."""
    points = [
        _Point(step, metrics["features/rankme"], metrics.get("teacher/ema_gap"))
        for step, metrics in history
        if "features/rankme" in metrics
    ]
    if not points:
        return None
    untrained = max(point.rank for point in points[: limits.min_observations])
    tail = stretch_at_end(
        points, lambda point: point.rank < limits.lost_rank_share * untrained, limits
    )
    if not tail:
        return None
    kind, steps = VerdictKind.DIMENSIONAL, [point.step for point in tail]
    if why_too_short(kind, steps, limits.min_observations, planned_steps or steps[-1], limits):
        return None
    most = max(point.rank for point in tail)
    evidence = (
        f"since step {tail[0].step} RankMe of the features is at most {most:.3g}, "
        f"{most / untrained:.0%} of the {untrained:.3g} that it began with"
    )
    copied = is_copy((point.ema_gap for point in tail), limits)
    return Verdict(kind, tail[0].step, evidence, advice.collapsed(kind, copied))
