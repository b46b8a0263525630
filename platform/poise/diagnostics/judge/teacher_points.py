"""The teacher at each logged step of a run, and sentences about it.

In: logged metrics and K. Out: a ``TeacherPoint`` per step, in shares of ln K. Next:
``poise.diagnostics.judge.teacher``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from poise.config.wording import in_percent
from poise.diagnostics.history import History
from poise.diagnostics.judge.verdict import Limits, VerdictKind

_EVEN = 0.9
"""Entropy as a share of ln K from which the teacher's output is called even."""


@dataclass(frozen=True)
class TeacherPoint:
    """Metrics of the teacher at one logged step.

    Entropies, information and KL are shares of ln K.
    """

    step: int
    entropy: float
    information: float
    kl: float
    """KL divergence of the student from its teacher; infinite if it was not logged."""

    ema_gap: float | None
    """Distance between the weights of teacher and student, divided by the norm of the teacher's
    weights.
    """

    @property
    def marginal(self) -> float:
        """Entropy of the batch's mean assignment, as a share of ln K."""
        return self.entropy + self.information

    @property
    def cross_entropy(self) -> float:
        """Cross-entropy of teacher and student, as a share of ln K.

        It is 1 if the student's output is uniform.
        """
        return self.entropy + self.kl

    def state(self, limits: Limits) -> VerdictKind:
        """Returns the kind of verdict that fits the metrics of this step alone."""
        if self.marginal < limits.few_prototypes_share:
            return VerdictKind.SINGLE_PROTOTYPE
        if self.information < limits.no_information_share:
            return end_of_scale(self.entropy, limits)
        if self.marginal < limits.partial_prototypes_share:
            return VerdictKind.PARTIAL_PROTOTYPES
        return VerdictKind.HEALTHY


def end_of_scale(entropy: float, limits: Limits) -> VerdictKind:
    """Names the collapse with equal assignments for all images, by their entropy.

    A flat assignment (uniform) means too little sharpening. A narrow assignment (single prototype)
    means too little centering.
    """
    uniform = entropy >= limits.border_entropy_share
    return VerdictKind.UNIFORM if uniform else VerdictKind.SINGLE_PROTOTYPE


def is_copy(ema_gaps: Iterable[float | None], limits: Limits) -> bool:
    """Returns True if teacher and student had the same weights at all these steps."""
    return all(gap is not None and gap < limits.copied_gap for gap in ema_gaps)


def read_points(history: History, ln_k: float) -> list[TeacherPoint]:
    """Reads a point for each logged step with metrics of the teacher."""
    return [
        TeacherPoint(
            step=step,
            entropy=metrics["teacher/entropy"] / ln_k,
            information=metrics["teacher/mutual_information"] / ln_k,
            kl=metrics.get("teacher/kl", math.inf) / ln_k,
            ema_gap=metrics.get("teacher/ema_gap"),
        )
        for step, metrics in history
        if "teacher/entropy" in metrics and "teacher/mutual_information" in metrics
    ]


def healthy_evidence(tail: Sequence[TeacherPoint]) -> str:
    """Makes the sentences that say why the teacher is healthy."""
    last = tail[-1]
    return (
        f"The teacher distinguishes images. At step {last.step} the mutual information of image "
        f"and prototype is {in_percent(last.information)} of ln K: {in_percent(last.marginal)} "
        f"(entropy of the mean output) minus {in_percent(last.entropy)} (the teacher's entropy, a "
        f"mean over images). The run has been healthy since step {tail[0].step}."
    )


def stuck_evidence(points: Sequence[TeacherPoint]) -> str:
    """Makes the sentences that say that the student does not follow the teacher."""
    first, last = points[0], points[-1]
    lowest = min(point.cross_entropy for point in points)
    return (
        f"Up to step {last.step} the cross-entropy of teacher and student has never been below "
        f"{in_percent(lowest)} of ln K. The teacher distinguishes images: the mutual information "
        f"of image and prototype is {in_percent(last.information)} of ln K. But the student does "
        f"not follow the teacher: the KL divergence between them is {in_percent(last.kl)} of "
        f"ln K, and at first it was {in_percent(first.kl)}."
    )


def collapse_evidence(kind: VerdictKind, tail: Sequence[TeacherPoint], num_prototypes: int) -> str:
    """Makes the sentences that say how the teacher assigns images to prototypes, and since when."""
    entropies = [point.entropy for point in tail]
    most = max(point.information for point in tail)
    numbers = (
        f"the teacher's entropy was {in_percent(min(entropies))} to {in_percent(max(entropies))} "
        f"of ln K, and the mutual information of image and prototype was at most "
        f"{in_percent(most, 2)} of ln K."
    )
    since = f"Since step {tail[0].step}"
    if kind is VerdictKind.UNIFORM:
        evenly = min(entropies) >= _EVEN
        does = (
            "spreads every image evenly over the prototypes"
            if evenly
            else "gives every image nearly the same output, nearer to uniform than to one prototype"
        )
        return f"{since} the teacher {does}. In these steps {numbers}"
    shared = math.exp(tail[-1].marginal * math.log(num_prototypes))
    return (
        f"{since} the teacher uses few prototypes. At step {tail[-1].step} the effective "
        f"number of prototypes in use is about {shared:.3g} of {num_prototypes}. {since} {numbers}"
    )
