"""What a run's log says of its teacher, step by step.

In: logged metrics and K. Out: a ``TeacherPoint`` per step, in shares of ln K. Next:
``poise.diagnostics.judge_teacher``.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from poise.diagnostics.persistence import History
from poise.diagnostics.verdict import Thresholds, VerdictKind


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

    def state(self, limits: Thresholds) -> VerdictKind:
        """What this step alone looks like."""
        if self.marginal < limits.few_prototypes_share:
            return VerdictKind.SINGLE_PROTOTYPE
        if self.information < limits.no_information_share:
            return end_of_scale(self.entropy, limits)
        if self.marginal < limits.partial_prototypes_share:
            return VerdictKind.PARTIAL_PROTOTYPES
        return VerdictKind.HEALTHY


def end_of_scale(entropy: float, limits: Thresholds) -> VerdictKind:
    """Which force won where all images are told the same: too little sharpening, or centering."""
    uniform = entropy >= limits.border_entropy_share
    return VerdictKind.UNIFORM if uniform else VerdictKind.SINGLE_PROTOTYPE


def is_copy(ema_gaps: Iterable[float | None], limits: Thresholds) -> bool:
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
