"""What a run's log says of its teacher, step by step.

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
    """One logged step's teacher, in shares of ln K."""

    step: int
    entropy: float
    information: float
    kl: float
    """Of the student from its teacher; infinite where it was not logged."""

    ema_gap: float | None

    @property
    def marginal(self) -> float:
        """Entropy of the batch's mean assignment."""
        return self.entropy + self.information

    def state(self, limits: Limits) -> VerdictKind:
        """What this step alone looks like."""
        if self.marginal < limits.few_prototypes_share:
            return VerdictKind.SINGLE_PROTOTYPE
        if self.information < limits.no_information_share:
            return end_of_scale(self.entropy, limits)
        if self.marginal < limits.partial_prototypes_share:
            return VerdictKind.PARTIAL_PROTOTYPES
        return VerdictKind.HEALTHY


def end_of_scale(entropy: float, limits: Limits) -> VerdictKind:
    """Which force won where all images are told the same: too little sharpening, or centering."""
    uniform = entropy >= limits.border_entropy_share
    return VerdictKind.UNIFORM if uniform else VerdictKind.SINGLE_PROTOTYPE


def is_copy(ema_gaps: Iterable[float | None], limits: Limits) -> bool:
    """Whether teacher and student held the same weights at all these steps."""
    return all(gap is not None and gap < limits.copied_gap for gap in ema_gaps)


def read_points(history: History, ln_k: float) -> list[TeacherPoint]:
    """Of every step that tells of a teacher."""
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
    """Why it is well."""
    last = tail[-1]
    return (
        f"the teacher tells images apart by {last.information:.1%} of ln K at step {last.step} "
        f"(entropy {last.entropy:.1%}) and has done so since step {tail[0].step}"
    )


def stuck_evidence(points: Sequence[TeacherPoint]) -> str:
    """Why the student does not follow."""
    return (
        f"up to step {points[-1].step} the cross-entropy has never been below "
        f"{min(point.entropy + point.kl for point in points):.1%} of ln K: the teacher tells "
        f"images apart by {points[-1].information:.1%}, but the student does not follow (KL "
        f"{points[-1].kl:.1%}, at first {points[0].kl:.1%})"
    )


def collapse_evidence(kind: VerdictKind, tail: Sequence[TeacherPoint], num_prototypes: int) -> str:
    """What the teacher says of every image alike, and since when."""
    entropies = [point.entropy for point in tail]
    most = max(point.information for point in tail)
    numbers = (
        f"teacher entropy {min(entropies):.1%} to {max(entropies):.1%} of ln K, mutual "
        f"information at most {most:.2%}"
    )
    since = f"since step {tail[0].step}"
    if kind is VerdictKind.UNIFORM:
        return f"{since} every image is spread over the prototypes nearly alike: {numbers}"
    shared = math.exp(tail[-1].marginal * math.log(num_prototypes))
    return (
        f"{since} few prototypes win, at step {tail[-1].step} {shared:.3g} of {num_prototypes} "
        f"for all images together: {numbers}"
    )
