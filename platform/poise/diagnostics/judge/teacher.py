"""Judges a teacher over prototypes by its answers for batches of images.

In: logged steps, K and the limits. Out: a ``Verdict``. Next: ``poise.diagnostics.judge.judge``.

How it decides: "information" means the mutual information between image and prototype. A collapsed
teacher gives every image the same answer, *persistently and up to the end*. Then either the whole
batch shares a few prototypes (the marginal entropy is near 0), or the information is near 0. The
loss alone or the teacher's entropy alone does not decide. A healthy run may also begin near ln K.
It may lose some of the little information of random features before it learns. Its loss may jump
when the last layer is released.

A run that has never left its start gets time, up to half its planned steps. It gets less if its
information fades: then teacher and student distinguish images less and less, and learning cannot
start from nothing.

A loss at ln K can also mean a healthy teacher whose student does not follow: the run is *stuck*. A
loss that is often above ln K means that the student is worse than an untrained one: the run
*swings*. Teacher and student then chase each other, as with a teacher of momentum 0. At single
steps such a teacher may look healthy, or like any collapse.

In a *partial* collapse the whole batch is on a few prototypes. It lies between a single prototype
and many.

Without entropies the loss is judged (``judge.loss_alone``), which shows much less.

DINO's two collapses are the ends of one scale, the teacher's entropy: ln K is uniform, 0 is a
single prototype. A shared assignment in between counts as the nearer end (the border is √K
prototypes), because the end shows the cause: too little sharpening or too little centering. The
evidence gives the real numbers.

KL does not decide about collapse. After either collapse it is near 0, with two exceptions: if the
shared assignment moves from step to step, or if logits are cosines, so that the student cannot
reach a one-hot answer.
"""

import math
from collections.abc import Container, Sequence
from dataclasses import replace
from statistics import median

from poise.config.objectives import Signals
from poise.diagnostics.history import History
from poise.diagnostics.judge.collapse import collapse_verdict
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.loss_alone import judge_loss
from poise.diagnostics.judge.loss_points import read_losses, with_losses
from poise.diagnostics.judge.persistence import (
    is_rising,
    stretch_at_end,
    undecided,
    why_too_short,
)
from poise.diagnostics.judge.stuck import find_stuck
from poise.diagnostics.judge.swinging import find_swinging
from poise.diagnostics.judge.teacher_points import (
    TeacherPoint,
    collapse_evidence,
    end_of_scale,
    healthy_evidence,
    read_points,
    rule_words,
)
from poise.diagnostics.judge.teacher_schedule import read_schedule
from poise.diagnostics.judge.verdict import FEW_PROTOTYPES, Verdict, VerdictKind


def judge_teacher(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict:
    """Judges a run's teacher. For the arguments see ``judge``; ``signals`` must contain K."""
    num_prototypes = signals.num_prototypes
    assert num_prototypes is not None
    limits = _within_batch(limits, num_prototypes, signals.batch_images)
    ln_k = math.log(num_prototypes)
    measured = read_points(history, ln_k)
    if not measured:
        return judge_loss(history, signals, planned_steps, limits)
    planned_steps, losses = planned_steps or measured[-1].step, read_losses(history, ln_k)
    points = with_losses(measured, losses)
    kind, tail = _last_stretch(points, limits)
    doubt = _why_too_early(kind, points, tail, planned_steps, limits)
    if doubt and kind is not VerdictKind.HEALTHY:
        # A teacher that goes from one collapse to another counts as collapsed all the time.
        lost = _stretch_of(_LOST, points, limits)
        if len(lost) > len(tail):
            kind, tail = _middle(lost, limits), lost
            doubt = _why_too_early(kind, points, tail, planned_steps, limits)
    schedule = read_schedule(history)
    if doubt or kind is VerdictKind.HEALTHY:
        compared = [point for point in measured if math.isfinite(point.kl)]
        found = (
            find_swinging(each, planned_steps, limits, schedule) for each in (compared, losses)
        )
        swings = next(filter(None, found), None)
        if swings or doubt:
            return swings or undecided(doubt or "")
        given = max(limits.min_share_of_plan_stuck, signals.warmup_share) * planned_steps
        stuck = find_stuck(points, losses, given, limits)
        return stuck or Verdict(kind, None, healthy_evidence(tail, limits), "")
    evidence = collapse_evidence(kind, tail, num_prototypes, limits)
    if kind is VerdictKind.UNIFORM and not _has_left_its_start(points, limits):
        evidence += " In this run the teacher has never learned to distinguish images."
    return collapse_verdict(kind, tail, evidence, schedule, limits)


def _within_batch(limits: Limits, num_prototypes: int, batch_images: int | None) -> Limits:
    """Returns the limits with lower limits for "few prototypes" if a batch has few images."""
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
    """Returns the state at the end of the history, and the longest end that is all in this state.

    A partial collapse and a single prototype are two stages of one collapse. A collapse may also
    swing between its two ends, as a teacher without momentum does. Then both ends count as one
    stretch, and its median decides the name.
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
    """Removes one or two last points that look different after a long collapse.

    They count as single contrary points, like those within the collapse. A dip at the end of a
    healthy run is not removed.
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
    """Chooses the verdict of a collapse that alternates between kinds, by its median metrics."""
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
    """Returns the reason why the run's latest state is not reported yet; None if it is reported."""
    last_step = tail[-1].step
    unmoved = kind is VerdictKind.UNIFORM and not _has_left_its_start(points, limits)
    fades = unmoved and _fades(points, tail, limits)
    waits = unmoved and not fades
    needed = limits.min_observations_from_start if waits else limits.min_observations
    steps, rule = [point.step for point in tail], rule_words(kind, tail, limits)
    doubt = why_too_short(kind, steps, needed, planned_steps, limits, rule)
    if doubt:
        return doubt
    if kind is VerdictKind.PARTIAL_PROTOTYPES and _spreads(tail, planned_steps, limits):
        return f"The teacher uses few prototypes, but at step {last_step} it uses more than before."
    share = limits.min_share_of_plan_fading if fades else limits.min_share_of_plan
    if unmoved and last_step < share * planned_steps:
        given = math.ceil(share * planned_steps)
        return (
            f"At step {last_step} the teacher does not distinguish images yet. It has time until "
            f"step {given}."
        )
    if waits and is_rising(
        [point.information for point in tail], limits.no_information_share, limits
    ):
        return f"At step {last_step} the mutual information of image and prototype still rises."
    return None


def _spreads(tail: Sequence[TeacherPoint], planned_steps: int, limits: Limits) -> bool:
    """Returns True if a partial collapse heals, because the batch uses more prototypes than before.

    "Before" is the lowest value within the time for which a partial collapse must last
    (``min_share_of_plan_partial``).
    """
    since = tail[-1].step - limits.min_share_of_plan_partial * planned_steps
    lowest = min(point.marginal for point in tail if point.step >= since)
    return tail[-1].marginal > limits.rebound_factor * lowest


def _fades(points: Sequence[TeacherPoint], tail: Sequence[TeacherPoint], limits: Limits) -> bool:
    """Returns True if the mutual information has become almost zero and does not rise again."""
    now, lowest = tail[-1].information, min(point.information for point in tail)
    most = max(point.information for point in points)
    none = limits.fading_information_share
    has_faded = now <= none and (
        now <= limits.fading_factor * tail[0].information or now <= limits.vanished_factor * most
    )
    rebounds = now > max(limits.rebound_factor * lowest, limits.noise_share * none)
    return has_faded and not rebounds and tail[-1].kl <= limits.no_divergence_share


def _has_left_its_start(points: Sequence[TeacherPoint], limits: Limits) -> bool:
    """Returns True if the information has risen at some time, or the run was on a single prototype.

    Either must have lasted for some logged steps. The information of random features does not
    count.
    """
    lowest, risen, single = math.inf, 0, 0
    for point in points:
        single += point.state(limits) is VerdictKind.SINGLE_PROTOTYPE
        lowest = min(lowest, point.information)
        floor = max(limits.rising_factor * lowest, limits.no_information_share)
        risen += point.information >= floor
    return max(risen, single) >= limits.min_observations
