"""The verdict on a teacher over prototypes, from what it says of images.

In: logged steps, K and the limits. Out: a ``Verdict``. Next: ``poise.diagnostics.judge``.

How it decides. A collapse is a teacher that tells every image the same, *persistently and up to
the end*. Either the whole batch shares a few prototypes (the marginal entropy is near 0), or the
mutual information between image and prototype is. Neither the loss nor the teacher's entropy
decides alone: a healthy run too may begin near ln K and lose what little information random
features carry before it takes off, and its loss may jump when the last layer is released.

DINO's two collapses are the ends of one scale, the teacher's entropy: ln K is uniform, 0 a single
prototype. An assignment in between, the same for all images yet neither flat nor one-hot, goes to
the nearer end (the border is √K prototypes), because the end says which force won: too little
sharpening, or too little centering. The evidence gives the real spread.

KL is not asked for. It is near 0 in either collapse at rest, but not where the shared assignment
moves from step to step, nor where logits that are cosines keep the student short of one-hot.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from poise.diagnostics import advice
from poise.diagnostics.persistence import (
    History,
    is_rising,
    stretch_at_end,
    undecided,
    why_too_short,
)
from poise.diagnostics.verdict import Thresholds, Verdict, VerdictKind


@dataclass(frozen=True)
class _Point:
    """One logged step's teacher, in shares of ln K."""

    step: int
    entropy: float
    information: float
    ema_gap: float | None

    @property
    def marginal(self) -> float:
        """Entropy of the batch's mean assignment."""
        return self.entropy + self.information

    def state(self, limits: Thresholds) -> VerdictKind:
        """What this step alone looks like."""
        if self.marginal < limits.few_prototypes_share:
            return VerdictKind.SINGLE_PROTOTYPE
        if self.information >= limits.no_information_share:
            return VerdictKind.HEALTHY
        return _end_of_scale(self.entropy, limits)


def judge_teacher(
    history: History, num_prototypes: int, total_steps: int | None, limits: Thresholds
) -> Verdict:
    """The verdict on a run's teacher; arguments as of ``judge``."""
    points = _read_points(history, math.log(num_prototypes))
    if not points:
        return undecided("no teacher entropy and mutual information were logged")
    planned_steps = total_steps or points[-1].step
    kind, tail = _last_stretch(points, limits)
    doubt = _why_too_early(kind, points, tail, planned_steps, limits)
    if doubt:
        return undecided(doubt)
    if kind is VerdictKind.HEALTHY:
        return Verdict(kind, None, _healthy_evidence(tail), "")
    copied = all(point.ema_gap is not None and point.ema_gap < 1e-9 for point in tail)
    evidence = _collapse_evidence(tail, num_prototypes)
    return Verdict(kind, tail[0].step, evidence, advice.collapsed(kind, copied))


def _last_stretch(
    points: Sequence[_Point], limits: Thresholds
) -> tuple[VerdictKind, Sequence[_Point]]:
    """What the history ends in, and the longest end of it that is all so.

    A collapse may swing between its two kinds (a teacher without momentum does); then all of the
    collapse counts and its median entropy names it.
    """
    kind = points[-1].state(limits)
    tail = stretch_at_end(points, lambda point: point.state(limits) is kind)
    if kind is VerdictKind.HEALTHY or len(tail) >= limits.min_observations:
        return kind, tail
    tail = stretch_at_end(points, lambda point: point.state(limits) is not VerdictKind.HEALTHY)
    return _end_of_scale(median(point.entropy for point in tail), limits), tail


def _end_of_scale(entropy: float, limits: Thresholds) -> VerdictKind:
    uniform = entropy >= limits.border_entropy_share
    return VerdictKind.UNIFORM if uniform else VerdictKind.SINGLE_PROTOTYPE


def _why_too_early(
    kind: VerdictKind,
    points: Sequence[_Point],
    tail: Sequence[_Point],
    planned_steps: int,
    limits: Thresholds,
) -> str | None:
    """Why the state at the end cannot be called lasting, or none if it can."""
    last_step = tail[-1].step
    unmoved = kind is VerdictKind.UNIFORM and not _has_left_its_start(points, limits)
    needed = limits.min_observations_from_start if unmoved else limits.min_observations
    doubt = why_too_short(kind, [point.step for point in tail], needed, limits)
    if doubt:
        return doubt
    if unmoved and last_step < limits.min_share_of_plan * planned_steps:
        given = math.ceil(limits.min_share_of_plan * planned_steps)
        return f"the teacher says nothing yet at step {last_step}; it is given until step {given}"
    if unmoved and is_rising(
        [point.information for point in tail], limits.no_information_share, limits
    ):
        return f"the teacher's information is still rising at step {last_step}"
    return None


def _has_left_its_start(points: Sequence[_Point], limits: Thresholds) -> bool:
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


def _read_points(history: History, ln_k: float) -> list[_Point]:
    return [
        _Point(
            step=step,
            entropy=metrics["teacher/entropy"] / ln_k,
            information=metrics["teacher/mutual_information"] / ln_k,
            ema_gap=metrics.get("teacher/ema_gap"),
        )
        for step, metrics in history
        if "teacher/entropy" in metrics and "teacher/mutual_information" in metrics
    ]


def _healthy_evidence(tail: Sequence[_Point]) -> str:
    last = tail[-1]
    return (
        f"the teacher tells images apart by {last.information:.1%} of ln K at step {last.step} "
        f"(entropy {last.entropy:.1%}) and has done so since step {tail[0].step}"
    )


def _collapse_evidence(tail: Sequence[_Point], num_prototypes: int) -> str:
    entropies = [point.entropy for point in tail]
    most = max(point.information for point in tail)
    shared = math.exp(max(point.marginal for point in tail) * math.log(num_prototypes))
    return (
        f"since step {tail[0].step} the teacher says nearly the same of every image: entropy "
        f"{min(entropies):.1%} to {max(entropies):.1%} of ln K, mutual information at most "
        f"{most:.2%}, all images together on at most {shared:.4g} of {num_prototypes} prototypes"
    )
