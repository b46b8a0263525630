"""Makes the verdict on a run that collapsed or swings, and names its teacher if it is the cause.

In: the kind of verdict, the evidence, and the teacher's weights and schedule. Out: a ``Verdict``.
Next: all rules that condemn a run for a collapse or for swinging.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from poise.diagnostics.judge import advice
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.teacher_schedule import TeacherSchedule
from poise.diagnostics.judge.verdict import Verdict, VerdictKind


class Weights(Protocol):
    """Weights of the teacher at one logged step."""

    @property
    def step(self) -> int:
        """Number of finished optimiser steps."""

    @property
    def ema_gap(self) -> float | None:
        """Distance between the weights of teacher and student; None if it was not logged."""


def is_copy(points: Iterable[Weights], limits: Limits) -> bool:
    """Returns True if teacher and student had the same weights at all these steps."""
    return all(each.ema_gap is not None and each.ema_gap < limits.copied_gap for each in points)


def collapse_verdict(
    kind: VerdictKind,
    tail: Sequence[Weights],
    evidence: str,
    schedule: TeacherSchedule,
    limits: Limits,
) -> Verdict:
    """Makes the verdict on a run that collapsed or swings.

    A momentum that was too low at first is named in the evidence. The advice has no numbers of the
    run, because a study collects equal advice of many trials.

    Args:
        kind: kind of verdict.
        tail: last logged steps, from the onset on.
        evidence: reason for the verdict.
        schedule: momentum and temperature of the teacher.
        limits: limits of all conditions.
    """
    what_to_try = advice.collapsed(kind, is_copy(tail, limits), schedule)
    return Verdict(kind, tail[0].step, f"{evidence}{_too_fast(schedule)}", what_to_try)


def _too_fast(schedule: TeacherSchedule) -> str:
    if schedule.first_momentum is None or not schedule.has_low_momentum:
        return ""
    step, momentum = schedule.first_momentum
    return f" At step {step}, the teacher's momentum was {momentum:g}."
