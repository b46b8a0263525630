"""The verdict on a teacher over prototypes, from what it says of images.

In: logged steps, K and the limits. Out: a ``Verdict``. Next: ``poise.diagnostics.judge.judge``.

How it decides. A collapse is a teacher that tells every image the same, *persistently and up to
the end*. Either the whole batch shares a few prototypes (the marginal entropy is near 0), or the
mutual information between image and prototype is. Neither the loss nor the teacher's entropy
decides alone: a healthy run too may begin near ln K and lose some of the little information that
random features carry before it takes off, and its loss may jump when the last layer is released.

A run that has never left its start gets time, up to half its plan, unless its information fades:
what is told apart less with every step, by teacher and student alike, has nothing to grow from.

A loss at ln K can also mean a teacher that is well and a student that does not follow: *stuck*.

Between the whole batch on one prototype and on many lies the *partial* collapse, on a few.

DINO's two collapses are the ends of one scale, the teacher's entropy: ln K is uniform, 0 a single
prototype. An assignment in between, the same for all images yet neither flat nor one-hot, goes to
the nearer end (the border is √K prototypes), because the end says which force won: too little
sharpening, or too little centering. The evidence gives the real spread.

KL is not asked for. It is near 0 in either collapse at rest, but not where the shared assignment
moves from step to step, nor where logits that are cosines keep the student short of one-hot.
"""

import math
from collections.abc import Container, Sequence
from dataclasses import replace
from statistics import median

from poise.config.objectives import Signals
from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.persistence import (
    is_rising,
    stretch_at_end,
    undecided,
    why_too_short,
)
from poise.diagnostics.judge.teacher_points import (
    TeacherPoint,
    collapse_evidence,
    end_of_scale,
    healthy_evidence,
    is_copy,
    read_points,
    stuck_evidence,
)
from poise.diagnostics.judge.verdict import FEW_PROTOTYPES, Limits, Verdict, VerdictKind


def judge_teacher(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict:
    """The verdict on a run's teacher; arguments as of ``judge``. ``signals`` tell K."""
    num_prototypes = signals.num_prototypes
    assert num_prototypes is not None
    limits = _within_batch(limits, num_prototypes, signals.batch_images)
    points = read_points(history, math.log(num_prototypes))
    if not points:
        return undecided("no teacher entropy and mutual information were logged")
    planned_steps = planned_steps or points[-1].step
    kind, tail = _last_stretch(points, limits)
    doubt = _why_too_early(kind, points, tail, planned_steps, limits)
    if doubt and kind is not VerdictKind.HEALTHY:
        # It may have gone from one way of being lost to another: that acquits it of neither.
        lost = _stretch_of(_LOST, points, limits)
        if len(lost) > len(tail):
            kind, tail = _middle(lost, limits), lost
            doubt = _why_too_early(kind, points, tail, planned_steps, limits)
    if doubt:
        return undecided(doubt)
    if kind is VerdictKind.HEALTHY:
        given = max(limits.min_share_of_plan_stuck, signals.warmup_share) * planned_steps
        if points[-1].step >= given and _is_stuck(points, limits):
            evidence = stuck_evidence(points)
            return Verdict(VerdictKind.STUCK, points[0].step, evidence, advice.STUCK)
        return Verdict(kind, None, healthy_evidence(tail), "")
    copied = is_copy((point.ema_gap for point in tail), limits)
    evidence = collapse_evidence(kind, tail, num_prototypes)
    if kind is VerdictKind.UNIFORM and not _has_left_its_start(points, limits):
        evidence += "; training has never moved it from ln K"
    return Verdict(kind, tail[0].step, evidence, advice.collapsed(kind, copied))


def _within_batch(limits: Limits, num_prototypes: int, batch_images: int | None) -> Limits:
    """The limits of how many prototypes are few, for a batch that could not share many."""
    if batch_images is None:
        return limits
    batch = math.log(batch_images) / math.log(num_prototypes)
    few, partial = limits.few_prototypes_share, limits.partial_prototypes_share
    return replace(
        limits,
        few_prototypes_share=min(few, limits.few_prototypes_share_of_batch * batch),
        partial_prototypes_share=min(partial, limits.partial_prototypes_share_of_batch * batch),
    )


def _last_stretch(
    points: Sequence[TeacherPoint], limits: Limits
) -> tuple[VerdictKind, Sequence[TeacherPoint]]:
    """What the history ends in, and the longest end of it that is all so.

    A partial collapse and a single prototype are stages of one. A collapse may also swing between
    its ends (a teacher without momentum does); then all of it counts and its middle names it.
    """
    points = _without_contrary_end(points, limits)
    kind = points[-1].state(limits)
    own = _stretch_of((kind,), points, limits)
    if kind is VerdictKind.HEALTHY:
        return kind, own
    if len(own) >= limits.min_observations:
        return kind, _stretch_of(FEW_PROTOTYPES, points, limits) if kind in FEW_PROTOTYPES else own
    tail = _stretch_of(_LOST, points, limits)
    return _middle(tail, limits), tail


_LOST = (*FEW_PROTOTYPES, VerdictKind.UNIFORM)


def _stretch_of(
    kinds: Container[VerdictKind], points: Sequence[TeacherPoint], limits: Limits
) -> Sequence[TeacherPoint]:
    return stretch_at_end(points, lambda point: point.state(limits) in kinds, limits)


def _without_contrary_end(points: Sequence[TeacherPoint], limits: Limits) -> Sequence[TeacherPoint]:
    """Less a last step or two that look otherwise, where a collapse before them is long.

    They are single contrary ones, as those within it are. A dip at the end of a healthy run stays.
    """
    ending = points[-1].state(limits)
    if len(_stretch_of((ending,), points, limits)) >= limits.min_observations:
        return points
    for odd in range(1, min(limits.min_observations, len(points))):
        before = points[:-odd]
        kind = before[-1].state(limits)
        kinds = _LOST if ending is VerdictKind.HEALTHY else (kind,)
        long = len(_stretch_of(kinds, before, limits)) * limits.contrary_share >= odd
        if kind is not VerdictKind.HEALTHY and long:
            return before
    return points


def _middle(tail: Sequence[TeacherPoint], limits: Limits) -> VerdictKind:
    """What a collapse that is never the same for long is on the whole."""
    states = [point.state(limits) for point in tail]
    entropy = median(point.entropy for point in tail)
    information = median(point.information for point in tail)
    single = states.count(VerdictKind.SINGLE_PROTOTYPE) >= limits.min_observations
    is_few = all(state in FEW_PROTOTYPES for state in states)
    if entropy + information < limits.few_prototypes_share and (single or not is_few):
        return VerdictKind.SINGLE_PROTOTYPE
    return VerdictKind.PARTIAL_PROTOTYPES if is_few else end_of_scale(entropy, limits)


def _why_too_early(
    kind: VerdictKind,
    points: Sequence[TeacherPoint],
    tail: Sequence[TeacherPoint],
    planned_steps: int,
    limits: Limits,
) -> str | None:
    """Why the state at the end cannot be called lasting, or none if it can."""
    last_step = tail[-1].step
    unmoved = kind is VerdictKind.UNIFORM and not _has_left_its_start(points, limits)
    fades = unmoved and _fades(points, tail, limits)
    waits = unmoved and not fades
    needed = limits.min_observations_from_start if waits else limits.min_observations
    doubt = why_too_short(kind, [point.step for point in tail], needed, planned_steps, limits)
    if doubt:
        return doubt
    if kind is VerdictKind.PARTIAL_PROTOTYPES and _spreads(tail, planned_steps, limits):
        return f"few prototypes win, and at step {last_step} they are more than before"
    share = limits.min_share_of_plan_fading if fades else limits.min_share_of_plan
    if unmoved and last_step < share * planned_steps:
        given = math.ceil(share * planned_steps)
        return f"the teacher says nothing yet at step {last_step}; it is given until step {given}"
    if waits and is_rising(
        [point.information for point in tail], limits.no_information_share, limits
    ):
        return f"the teacher's information is still rising at step {last_step}"
    return None


def _spreads(tail: Sequence[TeacherPoint], planned_steps: int, limits: Limits) -> bool:
    """Whether the batch shares more prototypes than it did while the collapse had to last."""
    since = tail[-1].step - limits.min_share_of_plan_partial * planned_steps
    lowest = min(point.marginal for point in tail if point.step >= since)
    return tail[-1].marginal > limits.rebound_factor * lowest


def _fades(points: Sequence[TeacherPoint], tail: Sequence[TeacherPoint], limits: Limits) -> bool:
    """Whether what teacher and student tell apart has become next to nothing, and stays so."""
    now, lowest = tail[-1].information, min(point.information for point in tail)
    most = max(point.information for point in points)
    none = limits.fading_information_share
    has_faded = now <= none and (
        now <= limits.fading_factor * tail[0].information or now <= limits.vanished_factor * most
    )
    rebounds = now > max(limits.rebound_factor * lowest, limits.noise_share * none)
    return has_faded and not rebounds and tail[-1].kl <= limits.no_divergence_share


def _is_stuck(points: Sequence[TeacherPoint], limits: Limits) -> bool:
    """Whether the student has never followed a teacher that does tell images apart."""
    follows = limits.stuck_kl_factor * points[0].kl
    informed = [point.information for point in points]
    return all(
        limits.stuck_loss_share <= point.entropy + point.kl <= limits.stuck_loss_most
        and point.kl >= follows
        for point in points
    ) and not is_rising(informed, limits.no_information_share, limits)


def _has_left_its_start(points: Sequence[TeacherPoint], limits: Limits) -> bool:
    """Whether information has ever risen, or the other collapse was there before.

    Either must have lasted. What information random features carry does not count.
    """
    lowest, risen, single = math.inf, 0, 0
    for point in points:
        single += point.state(limits) is VerdictKind.SINGLE_PROTOTYPE
        lowest = min(lowest, point.information)
        floor = max(limits.rising_factor * lowest, limits.no_information_share)
        risen += point.information >= floor
    return max(risen, single) >= limits.min_observations
