"""The teacher at each logged step of a run, and sentences about it.

In: logged metrics and K. Out: a ``TeacherPoint`` per step, in shares of ln K. Next:
``poise.diagnostics.judge.teacher``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from poise.config.wording import in_percent
from poise.diagnostics.history import History
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.persistence import in_part, stayed
from poise.diagnostics.judge.verdict import VerdictKind

_EVEN = 0.98
"""Entropy as a share of ln K from which all prototypes have nearly the same probability."""


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


def healthy_evidence(tail: Sequence[TeacherPoint], limits: Limits) -> str:
    """Makes the sentences that say why the teacher is healthy."""
    last = tail[-1]
    healthy = sum(point.state(limits) is VerdictKind.HEALTHY for point in tail)
    return (
        f"The teacher distinguishes images. At step {last.step} the mutual information of image "
        f"and prototype is {in_percent(last.information)} of ln K: {in_percent(last.marginal)} "
        f"(entropy of the mean output) minus {in_percent(last.entropy)} (the teacher's entropy, a "
        f"mean over images). Since step {tail[0].step}, the run has been healthy"
        f"{in_part(healthy, len(tail))}."
    )


def rule_words(kind: VerdictKind, tail: Sequence[TeacherPoint], limits: Limits) -> str:
    """Says which rule the metrics meet at these steps, for a sentence.

    A collapse may go from one kind to another. Then its steps meet the rules of several kinds, and
    one of these kinds is its name.
    """
    kinds = {point.state(limits) for point in tail} - {VerdictKind.HEALTHY}
    if kind is VerdictKind.HEALTHY or kinds <= {kind}:
        return kind.rule
    return f"the rules for different kinds of collapse (counted as “{kind}”)"


def collapse_evidence(
    kind: VerdictKind, tail: Sequence[TeacherPoint], num_prototypes: int, limits: Limits
) -> str:
    """Makes the sentences that say how the teacher assigns images to prototypes, and since when.

    They give the numbers that the rule compares with its limit: the number of prototypes in use, or
    the mutual information.
    """
    entropies = [point.entropy for point in tail]
    entropy = f"The teacher's entropy has {stayed(entropies)} of ln K."
    since = f"Since step {tail[0].step}, the teacher has"
    information, in_use = _informed(tail, limits), _in_use(kind, tail[-1], num_prototypes, limits)
    is_uniform = kind is VerdictKind.UNIFORM
    if is_uniform and min(entropies) >= _EVEN:
        even = f"{since} given all prototypes nearly the same probability, for every image."
        return f"{even} {entropy} {information}"
    same = sum(
        point.information < limits.no_information_share
        and end_of_scale(point.entropy, limits) is kind
        for point in tail
    )
    are_same = _are_most(same, tail, limits)
    most = limits.few_prototypes_share if are_same else limits.partial_prototypes_share
    few = sum(point.marginal < most for point in tail)
    if not is_uniform and _are_most(few, tail, limits):
        return f"{since} used few prototypes{in_part(few, len(tail))}. {entropy} {in_use}"
    near, far = "uniform", "a single prototype"
    if not is_uniform:
        near, far = far, near
    if are_same:
        nearer = sum(end_of_scale(point.entropy, limits) is kind for point in tail)
        return (
            f"{since} given every image nearly the same output. This output has been nearer to "
            f"{near} than to {far}{in_part(nearer, len(tail))}. {entropy} {information}"
        )
    lost = sum(point.state(limits) is not VerdictKind.HEALTHY for point in tail)
    return (
        f"{since} been collapsed{in_part(lost, len(tail))}, but the kind of collapse has changed. "
        f"By the median of its entropy ({in_percent(median(entropies))} of ln K), it is nearer to "
        f"{near} than to {far}. {entropy} {in_use}"
    )


def _informed(tail: Sequence[TeacherPoint], limits: Limits) -> str:
    """Compares the mutual information with its limit, which single steps may exceed."""
    name, limit = "mutual information of image and prototype", limits.no_information_share
    informed = [point.information for point in tail]
    below = sum(each < limit for each in informed)
    if below == len(tail):
        most = in_percent(max(informed), 2)
        return f"The {name} has been at most {most} of ln K (the limit is {100 * limit:g} %)."
    return (
        f"At {below} of {len(tail)} logged steps since then, the {name} has been below its limit, "
        f"{100 * limit:g} % of ln K."
    )


def _in_use(kind: VerdictKind, last: TeacherPoint, num_prototypes: int, limits: Limits) -> str:
    """Writes how many prototypes the teacher uses, and the limit for this kind of collapse."""
    ln_k = math.log(num_prototypes)
    shared = math.exp(last.marginal * ln_k)
    share = (
        limits.partial_prototypes_share
        if kind is VerdictKind.PARTIAL_PROTOTYPES
        else limits.few_prototypes_share
    )
    number = f"{shared:.3g}" if round(shared) < 1000 else f"{shared:.0f}"
    text = (
        f"At step {last.step}, the effective number of prototypes in use is about {number} of "
        f"{num_prototypes}."
    )
    if kind is VerdictKind.UNIFORM or last.marginal >= share:
        return text
    return f"{text} The limit for this verdict is {math.exp(share * ln_k):.3g}."


def _are_most(agreeing: int, tail: Sequence[TeacherPoint], limits: Limits) -> bool:
    """Returns True if these are all points of a collapse, apart from a few contrary points."""
    return len(tail) - agreeing <= limits.contrary_share * len(tail)
