"""Judges a teacher's weights: finds teachers that never move or are copies of the student.

In: logged steps and the limits. Out: a ``Verdict`` on such a teacher, or None. Next:
``poise.diagnostics.judge.judge``.

How it decides: the teacher is a moving average of the student. With a momentum of 1, or slightly
below 1, it stays at its first weights while the student learns. Its outputs look healthy, because
even untrained features distinguish images. But the run saves the backbone of the teacher.
``teacher/update_size`` is the distance that the teacher moved in a logged step. The sum over all
steps is at least the distance that the teacher has moved. The distance to the student is
``teacher/ema_gap``. The teacher does not move if the sum is almost zero compared with sum plus gap.

With a momentum of 0 the teacher is the student, and nothing keeps training stable (arXiv
2104.14294, section 5.2). Most such runs collapse or swing. A run that does neither is still
useless.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from poise.config.wording import in_percent
from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.collapse import is_copy
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.verdict import Verdict, VerdictKind


@dataclass(frozen=True)
class _Point:
    """Movement of the teacher's weights at one logged step, and their distance from the student's.

    Both values are divided by the norm of the teacher's weights.
    """

    step: int
    update_size: float
    ema_gap: float


def find_unmoved_teacher(
    history: History, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """Returns a verdict if the teacher has almost kept its initial weights, else None."""
    points = _read_points(history)
    if not _is_due(points, planned_steps, limits) or points[-1].ema_gap < limits.moved_distance:
        return None
    last, gone = points[-1], _way_gone(points)
    share = gone / (gone + last.ema_gap)
    if not share < limits.unmoved_teacher_share:
        return None
    moved = (
        "The teacher has not moved since step 0."
        if gone == 0
        else f"Since step 0, the teacher has moved at most {in_percent(share, 2)} of the way to "
        "its student."
    )
    evidence = (
        f"{moved} At step {last.step} the distance between the weights of teacher and student is "
        f"{last.ema_gap:.2g} of the norm of the teacher's weights."
    )
    kind = VerdictKind.UNMOVED_TEACHER
    return Verdict(kind, points[0].step, evidence, advice.UNMOVED_TEACHER)


def find_copied_teacher(
    history: History, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """Returns a verdict if the teacher learns but always has its student's weights, else None."""
    points = _read_points(history)
    if not _is_due(points, planned_steps, limits) or _way_gone(points) < limits.moved_distance:
        return None
    if not is_copy(points, limits):
        return None
    evidence = (
        f"At all {len(points)} logged steps up to step {points[-1].step}, teacher and student had "
        "the same weights."
    )
    return Verdict(VerdictKind.COPIED_TEACHER, points[0].step, evidence, advice.COPIED_TEACHER)


def _read_points(history: History) -> list[_Point]:
    return [
        _Point(step, metrics["teacher/update_size"], metrics["teacher/ema_gap"])
        for step, metrics in history
        if "teacher/update_size" in metrics and "teacher/ema_gap" in metrics
    ]


def _is_due(points: Sequence[_Point], planned_steps: int | None, limits: Limits) -> bool:
    """Returns True if enough steps were trained to judge the teacher's weights."""
    if len(points) < limits.min_observations:
        return False
    last_step = points[-1].step
    given = limits.min_share_of_plan_weights * (planned_steps or last_step)
    return last_step >= max(given, limits.settling_steps)


def _way_gone(points: Sequence[_Point]) -> float:
    """Sums the sizes of the teacher's updates, as an upper bound of its distance from its start.

    Each logged size counts for all steps since the previous logged step.
    """
    before, gone = 0, 0.0
    for point in points:
        gone += (point.step - before) * point.update_size
        before = point.step
    return gone
