"""Judges a decoder of hidden patches by the share of their variance that it explains.

In: logged steps and the limits. Out: a ``Verdict``. Next: ``poise.diagnostics.judge.judge``.

How it decides: a decoder has collapsed if it predicts only the mean, *persistently and up to the
end*. Then it explains none of the variance of hidden patches. Every run begins in this way. So a
run that has never explained anything gets half its planned steps. It gets more time if its share
still rises, even far below 0: untrained predictions are worse than the mean, and after a slow start
they stay worse for a long time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.persistence import (
    is_rising,
    stretch_at_end,
    sure_gain,
    undecided,
    why_too_short,
)
from poise.diagnostics.judge.verdict import Limits, Verdict, VerdictKind


@dataclass(frozen=True)
class _Point:
    """Decoder at one logged step."""

    step: int
    explained: float
    """Explained share of the variance of hidden patches, at most 1. It is below 0 if predictions
    are worse than the mean.
    """

    spread: float
    """Standard deviation of predictions across patches, divided by that of the targets."""


def judge_reconstruction(history: History, planned_steps: int | None, limits: Limits) -> Verdict:
    """Judges a run's decoder. For the arguments see ``judge``."""
    points = _read_points(history)
    if not points:
        return undecided("no loss relative to the mean patch was logged (loss/over_mean_patch)")

    def explains(point: _Point) -> bool:
        return point.explained >= limits.nothing_explained_share

    learns = explains(points[-1])
    kind = VerdictKind.HEALTHY if learns else VerdictKind.PREDICTS_MEAN
    tail = stretch_at_end(points, lambda point: explains(point) is learns, limits)
    unmoved = not learns and sum(map(explains, points)) < limits.min_observations
    needed = limits.min_observations_from_start if unmoved else limits.min_observations
    planned_steps = planned_steps or points[-1].step
    doubt = why_too_short(kind, [point.step for point in tail], needed, planned_steps, limits)
    if doubt is None and unmoved:
        doubt = _why_it_may_begin(tail, planned_steps, limits)
    if doubt:
        return undecided(doubt)
    if learns:
        return Verdict(kind, None, _healthy_evidence(tail), "")
    return Verdict(kind, tail[0].step, _mean_evidence(tail), advice.PREDICTS_MEAN)


def _why_it_may_begin(tail: Sequence[_Point], planned_steps: int, limits: Limits) -> str | None:
    step = tail[-1].step
    given = math.ceil(limits.min_share_of_plan * planned_steps)
    if step < given:
        return f"the decoder explains nothing yet at step {step}; it gets until step {given}"
    # The first third is left out, because untrained predictions are worse than the mean.
    late = [point.explained for point in tail[len(tail) // 3 :]]
    rising = is_rising(late, limits.nothing_explained_share, limits)
    if rising or sure_gain(late) > limits.nothing_explained_share:
        return f"the share that the decoder explains is still rising at step {step}"
    return None


def _read_points(history: History) -> list[_Point]:
    return [
        _Point(
            step=step,
            explained=1 - metrics["loss/over_mean_patch"],
            spread=metrics["prediction/std_over_target"],
        )
        for step, metrics in history
        if "loss/over_mean_patch" in metrics and "prediction/std_over_target" in metrics
    ]


def _healthy_evidence(tail: Sequence[_Point]) -> str:
    last = tail[-1]
    return (
        f"the decoder explains {last.explained:.1%} of the variance of hidden patches at step "
        f"{last.step}, and it has been better than the mean patch since step {tail[0].step}"
    )


def _mean_evidence(tail: Sequence[_Point]) -> str:
    most, widest = max(p.explained for p in tail), max(p.spread for p in tail)
    return (
        f"since step {tail[0].step} the decoder is no better than the mean patch: it explains at "
        f"most {max(most, 0):.2%} of the variance of hidden patches, and the standard deviation of "
        f"its predictions is at most {widest:.1%} of that of the patches"
    )
