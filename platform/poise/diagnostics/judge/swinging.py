"""The verdict on a teacher and a student that chase each other.

In: the teacher's points and the limits. Out: a ``Verdict`` on a run that swings, or none. Next:
``poise.diagnostics.judge.teacher``, which asks where the teacher has not collapsed for good.

How it decides. A student that knows nothing has a cross-entropy of ln K. A student that is often
above that disagrees with its teacher more than chance would: the teacher has moved on whenever the
student has learned its last answer. Healthy, collapsed and stuck runs stay below 1.05 ln K at every
logged step, so a good part of the logged steps above it, and up to the end, is a state of its own.
"""

from collections.abc import Sequence
from itertools import accumulate

from poise.diagnostics.judge import advice
from poise.diagnostics.judge.teacher_points import TeacherPoint, is_copy
from poise.diagnostics.judge.verdict import Limits, Verdict, VerdictKind


def find_swinging(
    points: Sequence[TeacherPoint], planned_steps: int, limits: Limits
) -> Verdict | None:
    """The verdict on a run whose cross-entropy is often above ln K, or none."""
    start = _onset(points, limits)
    if start is None:
        return None
    tail = points[start:]
    if tail[-1].step - tail[0].step < limits.min_share_of_plan_swinging * planned_steps:
        return None
    above = sum(_is_above(point, limits) for point in tail)
    most = max(
        (point for point in tail if _is_above(point, limits)), key=lambda point: point.cross_entropy
    )
    evidence = (
        f"since step {tail[0].step} the cross-entropy of teacher and student has been above "
        f"{limits.swinging_loss_share:.0%} of ln K at {above} of {len(tail)} logged steps, where a "
        f"student that knows nothing has 100%; the highest was {most.cross_entropy:.0%} at step "
        f"{most.step}"
    )
    kind = VerdictKind.SWINGING
    copied = is_copy((point.ema_gap for point in tail), limits)
    return Verdict(kind, tail[0].step, evidence, advice.collapsed(kind, copied))


def _onset(points: Sequence[TeacherPoint], limits: Limits) -> int | None:
    """The first point from which on a good part is above ln K, also in the last quarter."""
    above = [0, *accumulate(_is_above(point, limits) for point in points)]  # up to each point
    for start in range(len(points)):
        is_above = above[start + 1] > above[start]
        last_quarter = start + 3 * (len(points) - start) // 4
        often = all(
            above[-1] - above[first] >= limits.swinging_share * (len(points) - first)
            for first in (start, last_quarter)
        )
        if is_above and often and above[-1] - above[start] >= limits.min_observations:
            return start
    return None


def _is_above(point: TeacherPoint, limits: Limits) -> bool:
    """Whether the student is worse than knowing nothing; false where KL was not logged."""
    return limits.swinging_loss_share < point.cross_entropy < float("inf")
