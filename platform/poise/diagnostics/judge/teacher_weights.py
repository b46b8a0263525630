"""The verdict on a teacher's weights: it never moves, or it is the student itself.

In: logged steps and the limits. Out: a ``Verdict`` on such a teacher, or none. Next:
``poise.diagnostics.judge.judge``.

How it decides. The teacher is a moving average of the student. With a momentum of 1, or a hair
below it, it stays where it began while the student learns. Its outputs look healthy, because
untrained features do tell images apart, but the backbone that a run keeps is the teacher's.
``teacher/update_size`` is the distance that the teacher moved in a logged step. Summed over the
steps it is the whole way that the teacher has gone, or more. Its share of the way to the student
(the way gone plus ``teacher/ema_gap``) must not be next to nothing.

With a momentum of 0 the teacher is the student, and nothing holds the training up (arXiv
2104.14294, section 5.2). Most such runs collapse or swing; one that does neither is still lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.teacher_points import is_copy
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
    points = _read_points(history)
    if not _is_due(points, planned_steps, limits) or points[-1].ema_gap < limits.moved_distance:
        return None
    last, gone = points[-1], _way_gone(points)
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
    kind = VerdictKind.UNMOVED_TEACHER
    return Verdict(kind, points[0].step, evidence, advice.UNMOVED_TEACHER)


def find_copied_teacher(
    history: History, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """The verdict on a teacher that learns but has always had its student's weights, or none."""
    points = _read_points(history)
    if not _is_due(points, planned_steps, limits) or _way_gone(points) < limits.moved_distance:
        return None
    if not is_copy((point.ema_gap for point in points), limits):
        return None
    evidence = (
        f"at all {len(points)} logged steps up to step {points[-1].step} the teacher has had the "
        "weights of its student"
    )
    return Verdict(VerdictKind.COPIED_TEACHER, points[0].step, evidence, advice.COPIED_TEACHER)


def _read_points(history: History) -> list[_Point]:
    return [
        _Point(step, metrics["teacher/update_size"], metrics["teacher/ema_gap"])
        for step, metrics in history
        if "teacher/update_size" in metrics and "teacher/ema_gap" in metrics
    ]


def _is_due(points: Sequence[_Point], planned_steps: int | None, limits: Limits) -> bool:
    """Whether the weights have had time to move, or to part."""
    if len(points) < limits.min_observations:
        return False
    last_step = points[-1].step
    given = limits.min_share_of_plan_weights * (planned_steps or last_step)
    return last_step >= max(given, limits.settling_steps)


def _way_gone(points: Sequence[_Point]) -> float:
    """The sum of all updates, where each logged one stands for the steps since the log before."""
    before, gone = 0, 0.0
    for point in points:
        gone += (point.step - before) * point.update_size
        before = point.step
    return gone
