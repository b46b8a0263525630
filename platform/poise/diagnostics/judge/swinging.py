"""Finds runs that swing: teacher and student chase each other.

In: the teacher's points, or losses, and the limits. Out: a ``Verdict`` on a run that swings, or
None. Next: ``poise.diagnostics.judge.teacher`` and ``poise.diagnostics.judge.loss_alone``.

How it decides: an untrained student has a cross-entropy of ln K. A student that is often above ln K
disagrees with its teacher more than chance would. The reason is that the teacher changes whenever
the student has learned its last answer. Healthy, collapsed and stuck runs stay below 1.05 ln K at
every logged step. So a run swings if many of its logged steps, up to the end, are above 1.05 ln K.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from poise.config.wording import in_percent
from poise.diagnostics.judge.collapse import Weights, collapse_verdict
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.teacher_schedule import TeacherSchedule
from poise.diagnostics.judge.verdict import Verdict, VerdictKind


class Disagreement(Weights, Protocol):
    """Metrics that show how far teacher and student disagree at one logged step."""

    @property
    def cross_entropy(self) -> float:
        """Cross-entropy as a share of ln K, which is finite."""


def find_swinging(
    points: Sequence[Disagreement],
    planned_steps: int,
    limits: Limits,
    schedule: TeacherSchedule,
) -> Verdict | None:
    """Returns a verdict if the cross-entropy is often above ln K, else None.

    Args:
        points: logged steps of the run at which the cross-entropy was measured.
        planned_steps: number of steps that the run was planned for.
        limits: limits of all conditions.
        schedule: momentum and temperature of the teacher. The advice depends on them.
    """
    start = _onset(points, limits)
    if start is None:
        return None
    tail = points[start:]
    if tail[-1].step - tail[0].step < limits.min_share_of_plan_swinging * planned_steps:
        return None
    above = sum(_is_above(point, limits) for point in tail)
    most = max(tail, key=lambda point: point.cross_entropy)
    evidence = (
        f"Since step {tail[0].step}, the cross-entropy of teacher and student has been above "
        f"{in_percent(limits.swinging_loss_share, 0)} of ln K at {above} of {len(tail)} logged "
        f"steps. A student that has learned nothing has 100 %. The highest value was "
        f"{in_percent(most.cross_entropy, 0)} at step {most.step}."
    )
    return collapse_verdict(VerdictKind.SWINGING, tail, evidence, schedule, limits)


def _onset(points: Sequence[Disagreement], limits: Limits) -> int | None:
    """Returns the index of the point from which the cross-entropy is often above ln K, else None.

    The cross-entropy must also be often above ln K in the last quarter of the points since then.
    """
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


def _is_above(point: Disagreement, limits: Limits) -> bool:
    """Returns True if the student predicts its teacher worse than an untrained student would."""
    return point.cross_entropy > limits.swinging_loss_share
