"""Finds runs that are stuck: the teacher distinguishes images, but the student never follows it.

In: the teacher's points, the losses and the limits. Out: a ``Verdict`` on a stuck run, or None.
Next: ``poise.diagnostics.judge.teacher``, which calls this function if the teacher looks healthy.

How it decides: the cross-entropy of a student that has learned nothing is ln K. A student is stuck
if its cross-entropy was near ln K at every step at which it was measured, and if KL never fell. A
healthy run may begin in this way. So every run gets a quarter of its plan, or its whole warm-up.
"""

import math
from collections.abc import Sequence

from poise.config.wording import in_percent
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.loss_points import LossPoint
from poise.diagnostics.judge.persistence import is_rising
from poise.diagnostics.judge.teacher_points import TeacherPoint
from poise.diagnostics.judge.verdict import Verdict, VerdictKind


def find_stuck(
    points: Sequence[TeacherPoint], losses: Sequence[LossPoint], given: float, limits: Limits
) -> Verdict | None:
    """Returns a verdict if the student has never followed its teacher, else None.

    Args:
        points: logged steps of the teacher. KL may have been completed by the losses.
        losses: logged losses of the run. They may be at other steps.
        given: number of steps in which no run is called stuck.
        limits: limits of all conditions.
    """
    compared = [point for point in points if math.isfinite(point.kl)]
    if len(losses or compared) < limits.min_observations or not compared:
        return None
    latest = max(given, (1 - limits.min_share_of_steps) * points[-1].step)
    informed = [point.information for point in points]
    if compared[-1].step < latest or is_rising(informed, limits.no_information_share, limits):
        return None
    measured = [point.cross_entropy for point in compared]
    measured += [loss.cross_entropy for loss in losses]
    if min(measured) < limits.stuck_loss_share or max(measured) > limits.stuck_loss_most:
        return None
    if min(point.kl for point in compared) < limits.stuck_kl_factor * compared[0].kl:
        return None
    evidence = _evidence(compared, min(measured))
    return Verdict(VerdictKind.STUCK, compared[0].step, evidence, advice.STUCK)


def _evidence(compared: Sequence[TeacherPoint], lowest: float) -> str:
    first, last = compared[0], compared[-1]
    return (
        f"Up to step {last.step} the cross-entropy of teacher and student has never been below "
        f"{in_percent(lowest)} of ln K. The teacher distinguishes images: the mutual information "
        f"of image and prototype is {in_percent(last.information)} of ln K. But the student does "
        f"not follow the teacher: the KL divergence between them is {in_percent(last.kl)} of "
        f"ln K, and at first it was {in_percent(first.kl)}."
    )
