"""The verdict on a teacher that never moves.

In: logged steps and the limits. Out: a ``Verdict`` on a teacher that keeps its untrained weights,
or none. Next: ``poise.diagnostics.judge.judge``, which asks this before it looks at the outputs.

How it decides. The teacher is a moving average of the student. With a momentum of 1, or a hair
below it, it stays where it began while the student learns. Its outputs look healthy, because
untrained features do tell images apart, but the backbone that a run keeps is the teacher's. So the
weights themselves are asked: ``teacher/update_size`` is the distance that the teacher moved in a
logged step, and summed over the steps it bounds the whole way that it has gone. Its share of the
way to the student (the way gone plus ``teacher/ema_gap``) must not be next to nothing.
"""

from dataclasses import dataclass

from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.verdict import Limits, Verdict, VerdictKind


@dataclass(frozen=True)
class _Point:
    """The teacher's weights at one logged step; both distances are relative to their norm."""

    step: int
    update_size: float
    ema_gap: float


def find_unmoved_teacher(
    history: History, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """The verdict on a teacher that has kept its first weights, or none."""
    points = [
        _Point(step, metrics["teacher/update_size"], metrics["teacher/ema_gap"])
        for step, metrics in history
        if "teacher/update_size" in metrics and "teacher/ema_gap" in metrics
    ]
    if len(points) < limits.min_observations:
        return None
    last = points[-1]
    given = limits.min_share_of_plan_unmoved * (planned_steps or last.step)
    if last.step < max(given, limits.settling_steps) or last.ema_gap < limits.unmoved_teacher_gap:
        return None
    gone = _way_gone(points)
    share = gone / (gone + last.ema_gap)
    if not share < limits.unmoved_teacher_share:
        return None
    moved = (
        "the teacher has not moved since step 0"
        if gone == 0
        else f"the teacher has gone at most {share:.2%} of the way to its student since step 0"
    )
    evidence = (
        f"{moved}; at step {last.step} its student is {last.ema_gap:.2g} of the norm of the "
        "teacher's weights away"
    )
    return Verdict(VerdictKind.UNMOVED_TEACHER, points[0].step, evidence, advice.UNMOVED_TEACHER)


def _way_gone(points: list[_Point]) -> float:
    """The sum of all updates, where each logged one stands for the steps since the log before."""
    before, gone = 0, 0.0
    for point in points:
        gone += (point.step - before) * point.update_size
        before = point.step
    return gone
