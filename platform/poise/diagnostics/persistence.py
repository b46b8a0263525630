"""Whether something holds for long enough to be called a state of the run.

In: what logged steps look like. Out: the stretch at the end that is alike, and doubts about it.
Next: ``poise.diagnostics.judge_teacher`` and ``poise.diagnostics.judge_reconstruction``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from poise.diagnostics import advice
from poise.diagnostics.verdict import Thresholds, Verdict, VerdictKind

History = Sequence[tuple[int, Mapping[str, float]]]

PointT = TypeVar("PointT")


def stretch_at_end(points: Sequence[PointT], holds: Callable[[PointT], bool]) -> Sequence[PointT]:
    """The longest end of ``points`` for all of which ``holds`` is true."""
    start = len(points)
    while start > 0 and holds(points[start - 1]):
        start -= 1
    return points[start:]


def why_too_short(
    kind: VerdictKind, steps: Sequence[int], needed: int, planned_steps: int, limits: Thresholds
) -> str | None:
    """Why a state that was seen at these last steps cannot be called lasting, or none if it can."""
    if len(steps) < needed:
        return (
            f"too few logged steps to tell: it looks {kind} at the last {len(steps)} (from step "
            f"{steps[0]} on), and a verdict needs {needed} alike"
        )
    if steps[-1] - steps[0] < limits.min_share_of_steps * steps[-1]:
        return (
            f"it looks {kind} only since step {steps[0]} of {steps[-1]}, and a verdict needs "
            f"{limits.min_share_of_steps:.0%} of the steps so far"
        )
    partial = kind is VerdictKind.PARTIAL_PROTOTYPES
    share = limits.min_share_of_plan_partial if partial else limits.min_share_of_plan_lasting
    if kind is not VerdictKind.HEALTHY and steps[-1] - steps[0] < share * planned_steps:
        return (
            f"it looks {kind} since step {steps[0]}, and a verdict needs {share:.0%} of the "
            f"{planned_steps} planned steps"
        )
    return None


def is_rising(values: Sequence[float], none: float, limits: Thresholds) -> bool:
    """Whether the last third of the values is well above the first; ``none`` sets the scale."""
    before, now = _ends(values)
    return now > limits.rising_factor * before and now > 0.1 * none


def gain(values: Sequence[float]) -> float:
    """By how much the last third of the values is above the first."""
    before, now = _ends(values)
    return now - before


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Means of the first and of the last third."""
    third = max(len(values) // 3, 1)
    return sum(values[:third]) / third, sum(values[-third:]) / third


def undecided(evidence: str) -> Verdict:
    """No verdict yet, and why."""
    return Verdict(VerdictKind.UNDECIDED, None, evidence, advice.UNDECIDED)
