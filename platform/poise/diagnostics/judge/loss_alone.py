"""Judges a teacher's run by its loss, if the teacher's outputs were not logged.

In: logged steps, K and the limits. Out: a ``Verdict``. Next: ``poise.diagnostics.judge.teacher``,
which calls this function if it finds no entropies.

How it decides: the loss is the cross-entropy of teacher and student. Three states can be seen in
it, and nothing else:

- It is often above ln K: the run swings.
- It rests at ln K, the cross-entropy of a student that has learned nothing. Then the student learns
  nothing. The loss does not say why: the teacher may be uniform, or the student may not follow it.
  A teacher's entropy that is near ln K decides this, even without the marginal entropy, because the
  mutual information is at most ln K minus the entropy.
- It has fallen to 0: teacher and student agree with certainty on every view. Healthy runs with
  many prototypes do not come near 0 (``docs/decisions/0016-judging-logs.md``). So the teacher most
  likely uses a single prototype.

A loss in between is seen in healthy and in collapsed runs. Then the verdict is that the log cannot
tell. It is never "healthy".
"""

import math
from collections.abc import Sequence
from functools import partial

from poise.config.objectives import Signals
from poise.config.wording import in_percent
from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.collapse import collapse_verdict
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.loss_points import LossPoint, read_losses
from poise.diagnostics.judge.persistence import (
    cannot_tell,
    in_part,
    is_rising,
    stayed,
    stretch_at_end,
    undecided,
    why_too_short,
)
from poise.diagnostics.judge.swinging import find_swinging
from poise.diagnostics.judge.teacher_schedule import TeacherSchedule, read_schedule
from poise.diagnostics.judge.verdict import Verdict, VerdictKind


def judge_loss(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict:
    """Judges a run by its loss, because too few metrics of its teacher were logged.

    For the arguments see ``judge``. ``signals`` must contain K.
    """
    assert signals.num_prototypes is not None
    points = read_losses(history, math.log(signals.num_prototypes))
    if not points:
        return cannot_tell(history, "Neither the loss nor the teacher's entropies were logged.")
    planned_steps, schedule = planned_steps or points[-1].step, read_schedule(history)
    swings = find_swinging(points, planned_steps, limits, schedule)
    if swings:
        return swings
    for kind, holds in (
        (VerdictKind.AT_LN_K, partial(_rests, limits=limits)),
        (VerdictKind.NEAR_ZERO, partial(_is_near_zero, limits=limits)),
    ):
        tail = stretch_at_end(points, holds, limits)
        if tail:
            return _judge_stretch(kind, points, tail, planned_steps, limits, schedule)
    return cannot_tell(history, _between(points))


def _rests(point: LossPoint, limits: Limits) -> bool:
    return 1 - limits.resting_share <= point.cross_entropy <= limits.stuck_loss_most


def _is_near_zero(point: LossPoint, limits: Limits) -> bool:
    return point.cross_entropy < limits.near_zero_share


def _judge_stretch(
    kind: VerdictKind,
    points: Sequence[LossPoint],
    tail: Sequence[LossPoint],
    planned_steps: int,
    limits: Limits,
    schedule: TeacherSchedule,
) -> Verdict:
    unmoved = kind is VerdictKind.AT_LN_K and not _has_left(points, limits)
    needed = limits.min_observations_from_start if unmoved else limits.min_observations
    steps = [point.step for point in tail]
    doubt = why_too_short(kind, steps, needed, planned_steps, limits, kind.rule)
    if doubt is None and unmoved:
        doubt = _why_it_may_begin(tail, planned_steps, limits)
    if doubt:
        return undecided(doubt)
    if kind is VerdictKind.NEAR_ZERO:
        return Verdict(kind, tail[0].step, _zero_evidence(tail, limits), advice.NEAR_ZERO)
    evidence = _rest_evidence(tail, unmoved, limits)
    if all(_is_flat(point, limits) for point in tail if _rests(point, limits)):
        return collapse_verdict(VerdictKind.UNIFORM, tail, evidence, schedule, limits)
    return Verdict(kind, tail[0].step, evidence, advice.AT_LN_K)


def _has_left(points: Sequence[LossPoint], limits: Limits) -> bool:
    """Returns True if the loss was clearly below ln K at least ``min_observations`` times."""
    below = [point for point in points if point.cross_entropy < limits.stuck_loss_share]
    return len(below) >= limits.min_observations


def _why_it_may_begin(tail: Sequence[LossPoint], planned_steps: int, limits: Limits) -> str | None:
    step, given = tail[-1].step, math.ceil(limits.min_share_of_plan * planned_steps)
    if step < given:
        return f"At step {step} the loss is still near ln K. The run has time until step {given}."
    learned = [1 - point.cross_entropy for point in tail]
    if is_rising(learned, limits.resting_share, limits):
        return f"At step {step} the loss is near ln K, but it still falls."
    return None


def _is_flat(point: LossPoint, limits: Limits) -> bool:
    """Returns True if the teacher's entropy is so near ln K that assignments are almost uniform."""
    return point.entropy is not None and 1 - point.entropy < limits.no_information_share


def _rest_evidence(tail: Sequence[LossPoint], unmoved: bool, limits: Limits) -> str:
    resting = [point for point in tail if _rests(point, limits)]
    losses = stayed([point.cross_entropy for point in resting])
    entropies = [point.entropy for point in resting if point.entropy is not None]
    flat = f" The teacher's entropy has {stayed(entropies)} of ln K." if entropies else ""
    before = "The loss was never clearly below ln K." if unmoved else "Before, it was lower."
    return (
        f"Since step {tail[0].step}, the loss has {losses} of ln K"
        f"{in_part(len(resting), len(tail))}. A student that has learned nothing has a loss of "
        f"ln K. {before}{flat}"
    )


def _zero_evidence(tail: Sequence[LossPoint], limits: Limits) -> str:
    low = [point for point in tail if _is_near_zero(point, limits)]
    last, most = low[-1], max(point.cross_entropy for point in low)
    return (
        f"Since step {tail[0].step}, the loss has been at most {in_percent(most)} of ln K"
        f"{in_part(len(low), len(tail))}. At step {last.step} it is "
        f"{in_percent(last.cross_entropy, 2)}. So teacher and student agree with certainty on "
        "every view."
    )


def _between(points: Sequence[LossPoint]) -> str:
    last = points[-1]
    lowest = min(points, key=lambda point: point.cross_entropy)
    return (
        f"At step {last.step} the loss is {in_percent(last.cross_entropy)} of ln K. Its lowest "
        f"value was {in_percent(lowest.cross_entropy)} at step {lowest.step}. The loss does not "
        "rest at ln K and has not fallen to 0. Both healthy and collapsed runs have such a loss."
    )
