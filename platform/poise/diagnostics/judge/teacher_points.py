"""The teacher at each logged step of a run, and sentences about it.

In: logged metrics and K. Out: a ``TeacherPoint`` per step, in shares of ln K. Next:
``poise.diagnostics.judge.teacher``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from poise.diagnostics.history import History
from poise.diagnostics.judge.verdict import Limits, VerdictKind


@dataclass(frozen=True)
class TeacherPoint:
    """Teacher at one logged step. Entropies, information and KL are shares of ln K."""

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
        """Entropy of the batch's mean assignment."""
        return self.entropy + self.information

    @property
    def cross_entropy(self) -> float:
        """Cross-entropy of teacher and student. It is 1 for an untrained student."""
        return self.entropy + self.kl

    def state(self, limits: Limits) -> VerdictKind:
        """Returns the kind of verdict that this step alone would lead to."""
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
    """Reads the points of all steps at which a teacher was logged."""
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
    """Makes the sentence that says why the teacher is healthy."""
    last = tail[-1]
    return (
        f"the teacher distinguishes images: at step {last.step} its mutual information is "
        f"{last.information:.1%} of ln K (entropy {last.entropy:.1%}, over all images together "
        f"{last.marginal:.1%}); it has been healthy since step {tail[0].step}"
    )


def stuck_evidence(points: Sequence[TeacherPoint]) -> str:
    """Makes the sentence that says that the student does not follow the teacher."""
    return (
        f"up to step {points[-1].step} the cross-entropy has never been below "
        f"{min(point.cross_entropy for point in points):.1%} of ln K: the teacher distinguishes "
        f"images (mutual information {points[-1].information:.1%}), but the student does not "
        f"follow it (KL {points[-1].kl:.1%}, at first {points[0].kl:.1%})"
    )


def collapse_evidence(kind: VerdictKind, tail: Sequence[TeacherPoint], num_prototypes: int) -> str:
    """Makes the sentence that says what the teacher answers for every image, and since when."""
    entropies = [point.entropy for point in tail]
    most = max(point.information for point in tail)
    numbers = (
        f"teacher entropy {min(entropies):.1%} to {max(entropies):.1%} of ln K, mutual "
        f"information at most {most:.2%}"
    )
    since = f"since step {tail[0].step}"
    if kind is VerdictKind.UNIFORM:
        return f"{since} the teacher spreads every image evenly over the prototypes: {numbers}"
    shared = math.exp(tail[-1].marginal * math.log(num_prototypes))
    return (
        f"{since} the teacher uses few prototypes: at step {tail[-1].step} their effective number "
        f"is {shared:.3g} of {num_prototypes} ({numbers})"
    )
