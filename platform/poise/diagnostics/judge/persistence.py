"""Tests whether a condition holds long enough to count.

In: logged steps. Out: the last stretch of steps in which a condition holds, and doubts about it.
Next: ``poise.diagnostics.judge.teacher`` and ``poise.diagnostics.judge.reconstruction``.
"""

import math
from collections.abc import Callable, Sequence
from statistics import mean, pvariance
from typing import TypeVar

from poise.config.wording import in_percent
from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.verdict import Verdict, VerdictKind

PointT = TypeVar("PointT")


def stretch_at_end(
    points: Sequence[PointT], holds: Callable[[PointT], bool], limits: Limits
) -> Sequence[PointT]:
    """Returns the longest stretch of last points for which ``holds`` is true.

    At single points ``holds`` may be false (``limits.contrary_share``).
    """
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
    kind: VerdictKind,
    steps: Sequence[int],
    needed: int,
    planned_steps: int,
    limits: Limits,
    rule: str,
) -> str | None:
    """Returns the reason why a state has not lasted long enough for a verdict; None if it has.

    Args:
        kind: verdict that the state would lead to.
        steps: last logged steps of the run, in order. The run was in the state at these steps.
        needed: number of logged steps that must show the state.
        planned_steps: number of steps that the run was planned for.
        limits: limits of all conditions.
        rule: words for what the metrics meet, such as ``kind.rule``.
    """
    if len(steps) < needed:
        last = (
            "logged step"
            if len(steps) == 1
            else f"{len(steps)} logged steps (since step {steps[0]})"
        )
        return (
            f"The metrics meet {rule} at the last {last}. "
            f"A verdict needs {needed} logged steps that agree."
        )
    since = f"Since step {steps[0]}, the metrics have met {rule}."
    asked = min(limits.min_share_of_steps * steps[-1], limits.most_share_of_plan * planned_steps)
    if steps[-1] - steps[0] < asked:
        return f"{since} This becomes a verdict only if it lasts for {asked:.0f} steps."
    partial = kind is VerdictKind.PARTIAL_PROTOTYPES
    share = limits.min_share_of_plan_partial if partial else limits.min_share_of_plan_lasting
    if kind is not VerdictKind.HEALTHY and steps[-1] - steps[0] < share * planned_steps:
        return (
            f"{since} This becomes a verdict only if it lasts for {in_percent(share, 0)} of the "
            f"{planned_steps} planned steps."
        )
    return None


def stayed(shares: Sequence[float]) -> str:
    """Says in which range shares of ln K stayed, in percent.

    The words come after "has": ``stayed between 0.6 % and 5.5 %``.
    """
    low, high = in_percent(min(shares)), in_percent(max(shares))
    return f"stayed at {low}" if low == high else f"stayed between {low} and {high}"


def in_part(agreeing: int, total: int, what: str = "logged steps") -> str:
    """Says at how many logged steps a state was seen, if it was not seen at all of them.

    The words come last in a sentence that begins with "Since step": `` at 20 of 21 logged steps``.
    """
    return "" if agreeing == total else f" at {agreeing} of {total} {what}"


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
    """Returns a lower bound of the rise of the mean from the first to the last third of the values.

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
    """Makes a verdict of the kind "undecided", with this reason."""
    return Verdict(VerdictKind.UNDECIDED, None, evidence, advice.UNDECIDED)


def cannot_tell(history: History, evidence: str) -> Verdict:
    """Makes the verdict on a run whose logged metrics are not enough to judge it.

    If no loss was logged yet, the verdict is "undecided" instead.
    """
    if not any("loss/total" in metrics or "loss/over_ln_k" in metrics for _, metrics in history):
        return undecided(evidence)
    return Verdict(VerdictKind.CANNOT_TELL, None, evidence, advice.CANNOT_TELL)
