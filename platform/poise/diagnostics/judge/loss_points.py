"""The loss at each logged step of a run, and the teacher's steps that it completes.

In: logged metrics and K. Out: a ``LossPoint`` per step with a loss, in shares of ln K. Next:
``poise.diagnostics.judge.loss_alone``, ``poise.diagnostics.judge.stuck`` and
``poise.diagnostics.judge.teacher``.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from poise.diagnostics.history import History
from poise.diagnostics.judge.teacher_points import TeacherPoint


@dataclass(frozen=True)
class LossPoint:
    """Loss at one logged step, and the teacher's metrics if they were logged."""

    step: int
    cross_entropy: float
    """Loss as a share of ln K. It is 1 for an untrained student."""

    entropy: float | None
    """Teacher's entropy as a share of ln K; None if it was not logged."""

    ema_gap: float | None
    """Distance between the weights of teacher and student; None if it was not logged."""


def read_losses(history: History, ln_k: float) -> list[LossPoint]:
    """Reads a point for each logged step with a finite loss."""
    return [
        LossPoint(
            step=step,
            cross_entropy=metrics["loss/over_ln_k"],
            entropy=metrics["teacher/entropy"] / ln_k if "teacher/entropy" in metrics else None,
            ema_gap=metrics.get("teacher/ema_gap"),
        )
        for step, metrics in history
        if math.isfinite(metrics.get("loss/over_ln_k", math.nan))
    ]


def with_losses(
    points: Sequence[TeacherPoint], losses: Sequence[LossPoint]
) -> Sequence[TeacherPoint]:
    """Completes points without KL, because many programs log entropies and loss at other steps.

    Such a point gets its KL from the newest loss before it. The loss may be as old as the usual
    time between two losses, and no older: what is older says nothing about this step.
    """
    if len(losses) < 2:
        return points
    steps = [loss.step for loss in losses]
    oldest = median(after - before for before, after in pairwise(steps))
    completed = []
    for point in points:
        index = bisect_right(steps, point.step) - 1
        if point.kl == math.inf and index >= 0 and point.step - steps[index] <= oldest:
            point = replace(point, kl=losses[index].cross_entropy - point.entropy)
        completed.append(point)
    return completed
