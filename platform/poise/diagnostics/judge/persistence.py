"""Tests whether a condition holds long enough to count.

In: logged steps. Out: the last stretch of steps in which a condition holds, and doubts about it.
Next: ``poise.diagnostics.judge.teacher`` and ``poise.diagnostics.judge.reconstruction``.
"""

import math
from collections.abc import Callable, Sequence
from statistics import mean, pvariance
from typing import TypeVar

from poise.diagnostics.judge import advice
from poise.diagnostics.judge.verdict import Limits, Verdict, VerdictKind

PointT = TypeVar("PointT")


def stretch_at_end(
    points: Sequence[PointT], holds: Callable[[PointT], bool], limits: Limits
) -> Sequence[PointT]:
    """Returns the longest end of ``points`` in which ``holds`` is true, except at single points."""
    start, contrary = len(points), 0
    for index in reversed(range(len(points))):
        length = len(points) - index
        if holds(points[index]):
            if contrary <= limits.contrary_share * length:
                start = index
        else:
            contrary += 1
            if contrary > limits.contrary_share * len(points):
                break
    return points[start:]


def why_too_short(
    kind: VerdictKind, steps: Sequence[int], needed: int, planned_steps: int, limits: Limits
) -> str | None:
    """Returns the reason why a state at these last steps is too short to count; None if it counts.

    Args:
        kind: verdict that the state would lead to.
        steps: logged steps at which the state was seen, in order.
        needed: number of logged steps that must show the state.
        planned_steps: number of steps that the run was planned for.
        limits: limits of all conditions.
    """
    if len(steps) < needed:
        return (
            f"too few logged steps: it looks {kind} at the last {len(steps)} (from step "
            f"{steps[0]} on), and a verdict needs {needed} that agree"
        )
    asked = min(limits.min_share_of_steps * steps[-1], limits.most_share_of_plan * planned_steps)
    if steps[-1] - steps[0] < asked:
        return (
            f"it looks {kind} only since step {steps[0]} of {steps[-1]}, and a verdict needs "
            f"{asked:.0f} such steps"
        )
    partial = kind is VerdictKind.PARTIAL_PROTOTYPES
    share = limits.min_share_of_plan_partial if partial else limits.min_share_of_plan_lasting
    if kind is not VerdictKind.HEALTHY and steps[-1] - steps[0] < share * planned_steps:
        return (
            f"it looks {kind} since step {steps[0]}, and a verdict needs {share:.0%} of the "
            f"{planned_steps} planned steps"
        )
    return None


def is_rising(values: Sequence[float], none: float, limits: Limits) -> bool:
    """Returns True if the last third of the values is well above the first third.

    Args:
        values: values in the order of the steps, in any unit.
        none: value below which the quantity counts as zero, in the same unit.
        limits: limits of all conditions.
    """
    before, now = map(mean, _ends(values))
    return now > limits.rising_factor * before and now > limits.noise_share * none


def sure_gain(values: Sequence[float]) -> float:
    """Returns a lower bound of the rise from the first to the last third.

    The bound is two standard errors below the measured rise.
    """
    before, now = _ends(values)
    error = math.sqrt((pvariance(before) + pvariance(now)) / len(now))
    return mean(now) - mean(before) - 2 * error


def _ends(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """Returns the first third of the values and the last third."""
    third = max(len(values) // 3, 1)
    return values[:third], values[-third:]


def undecided(evidence: str) -> Verdict:
    """Makes an undecided verdict with its reason."""
    return Verdict(VerdictKind.UNDECIDED, None, evidence, advice.UNDECIDED)
