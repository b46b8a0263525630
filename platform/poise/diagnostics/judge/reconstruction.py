"""Judges a decoder of hidden patches by the share of their variance that it explains.

In: logged steps and the limits. Out: a ``Verdict``. Next: ``poise.diagnostics.judge.judge``.

How it decides: a decoder has collapsed if it predicts only the mean, *persistently and up to the
end*. Then it explains none of the variance of hidden patches. Every run begins in this way. So a
run that has never explained anything gets half its planned steps. It gets more time if its share
still rises, even far below 0: untrained predictions are worse than the mean, and after a slow start
they stay worse for a long time.

A healthy decoder may also rest at the mean for most of a short run before it begins. Its share
shows nothing then, but its predictions show that it is alive: they still differ between patches.
The predictions of a collapsed decoder are nearly constant. So a decoder at the mean whose
predictions differ gets the whole plan.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from poise.config.wording import in_percent
from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.persistence import (
    cannot_tell,
    in_part,
    is_rising,
    stretch_at_end,
    sure_gain,
    undecided,
    why_too_short,
)
from poise.diagnostics.judge.verdict import Verdict, VerdictKind


@dataclass(frozen=True)
class _Point:
    """Metrics of the decoder at one logged step."""

    step: int
    explained: float
    """Share of the variance of hidden patches that the decoder explains, at most 1. It is below 0
    if the predictions are worse than the mean patch.
    """

    spread: float | None
    """Standard deviation of predictions across patches, divided by that of the targets; None if it
    was not logged.
    """


def judge_reconstruction(history: History, planned_steps: int | None, limits: Limits) -> Verdict:
    """Judges a run's decoder. For the arguments see ``judge``."""
    points = _read_points(history)
    if not points:
        return cannot_tell(
            history,
            "loss/over_mean_patch was not logged: the loss, divided by the loss of a decoder that "
            "always predicts the mean patch. The loss alone has the scale of the pixels, so it "
            "cannot be judged.",
        )

    def explains(point: _Point) -> bool:
        return point.explained >= limits.nothing_explained_share

    learns = explains(points[-1])
    kind = VerdictKind.HEALTHY if learns else VerdictKind.PREDICTS_MEAN
    tail = stretch_at_end(points, lambda point: explains(point) is learns, limits)
    unmoved = not learns and sum(map(explains, points)) < limits.min_observations
    needed = limits.min_observations_from_start if unmoved else limits.min_observations
    planned_steps = planned_steps or points[-1].step
    steps = [point.step for point in tail]
    doubt = why_too_short(kind, steps, needed, planned_steps, limits, kind.rule)
    if doubt is None and unmoved:
        doubt = _why_it_may_begin(tail, planned_steps, limits)
    if doubt:
        return undecided(doubt)
    agreeing = [point for point in tail if explains(point) is learns]
    at = in_part(len(agreeing), len(tail))
    if learns:
        return Verdict(kind, None, _healthy_evidence(agreeing, at), "")
    return Verdict(kind, tail[0].step, _mean_evidence(agreeing, at), advice.PREDICTS_MEAN)


def steps_before_learning(history: History, limits: Limits) -> set[int]:
    """Returns steps at which the features of a healthy encoder may have lost dimensions.

    At these steps the decoder has not begun to explain patches, but it is not constant either. It
    has begun with the first of ``min_observations`` logged steps at which it explains something.
    """
    points = _read_points(history)
    explains = [point.step for point in points if point.explained >= limits.nothing_explained_share]
    begun = explains[0] if len(explains) >= limits.min_observations else math.inf
    return {
        point.step
        for point in points
        if point.step < begun
        and (point.spread is None or point.spread >= limits.constant_prediction_share)
    }


def _why_it_may_begin(tail: Sequence[_Point], planned_steps: int, limits: Limits) -> str | None:
    step = tail[-1].step
    given = math.ceil(limits.min_share_of_plan * planned_steps)
    if step < given:
        return f"At step {step} the decoder explains nothing yet. It has time until step {given}."
    # The first third is left out, because untrained predictions are worse than the mean.
    late = [point.explained for point in tail[len(tail) // 3 :]]
    rising = is_rising(late, limits.nothing_explained_share, limits)
    if rising or sure_gain(late) > limits.nothing_explained_share:
        return f"At step {step} the share of variance that the decoder explains still rises."
    if step < planned_steps and _rests_alive(tail, limits):
        return (
            f"At step {step} the decoder is about as good as a prediction of the mean patch, but "
            f"its predictions still differ between patches. It has time until step {planned_steps}."
        )
    return None


def _rests_alive(tail: Sequence[_Point], limits: Limits) -> bool:
    """Returns True if the decoder is as good as the mean patch, but its predictions still vary.

    Medians over the last logged steps decide, because single steps vary.
    """
    last = tail[-limits.min_observations :]
    spreads = [point.spread for point in last if point.spread is not None]
    return (
        bool(spreads)
        and median(spreads) >= limits.constant_prediction_share
        and median(point.explained for point in last) >= -limits.nothing_explained_share
    )


def _read_points(history: History) -> list[_Point]:
    return [
        _Point(
            step=step,
            explained=1 - metrics["loss/over_mean_patch"],
            spread=metrics.get("prediction/std_over_target"),
        )
        for step, metrics in history
        if "loss/over_mean_patch" in metrics
    ]


def _healthy_evidence(tail: Sequence[_Point], at: str) -> str:
    last = tail[-1]
    return (
        f"At step {last.step} the decoder explains {in_percent(last.explained)} of the variance of "
        f"hidden patches. Since step {tail[0].step}, it has been better than a prediction of the "
        f"mean patch{at}."
    )


def _mean_evidence(tail: Sequence[_Point], at: str) -> str:
    most = max(point.explained for point in tail)
    spreads = [point.spread for point in tail if point.spread is not None]
    spread = (
        " The standard deviation of its predictions has been at most "
        f"{in_percent(max(spreads))} of the standard deviation of the patches."
        if spreads
        else ""
    )
    return (
        f"Since step {tail[0].step}, the decoder has been no better than a prediction of the mean "
        f"patch{at}. It has explained at most {in_percent(max(most, 0), 2)} of the variance of "
        f"hidden patches.{spread}"
    )
