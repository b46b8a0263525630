"""Judges a run by the history of its metrics.

In: the metrics of one run by step, and the metrics that are expected. Out: a ``Verdict``. Next: all
code that shows the verdict or acts on it.

Divergence is the same for every run. A teacher that never moves is seen from its weights
(``judge.teacher_weights``). Collapse is judged by what the run's objective shows: a teacher over
prototypes (``judge.teacher``), or pixels that it predicts (``judge.reconstruction``). Where these
look well, the features may still be lost (``judge.features``), or the teacher may be the student.

A run that starts from trained weights may forget them (``judge.forgetting``). This goes before
every collapse, because the start was good and its loss is what a person must know. The evidence
then names the collapse, as the way in which it was lost.
"""

from poise.config.objectives import Signals
from poise.diagnostics.history import History
from poise.diagnostics.judge.divergence import find_divergence
from poise.diagnostics.judge.features import find_lost_dimensions
from poise.diagnostics.judge.forgetting import find_forgetting, with_cause
from poise.diagnostics.judge.limits import DEFAULT_LIMITS, Limits
from poise.diagnostics.judge.persistence import undecided
from poise.diagnostics.judge.reconstruction import judge_reconstruction
from poise.diagnostics.judge.teacher import judge_teacher
from poise.diagnostics.judge.teacher_weights import find_copied_teacher, find_unmoved_teacher
from poise.diagnostics.judge.verdict import FEW_PROTOTYPES, Verdict, VerdictKind


def judge(
    history: History,
    signals: Signals,
    planned_steps: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Verdict:
    """Judges a run so far.

    Args:
        history: ``(step, metrics)`` with rising steps. A step without the metrics that ``signals``
            announces is only used to find divergence.
        signals: metrics that are expected.
        planned_steps: number of steps that the run was planned for; None means that the history is
            complete.
        limits: limits of all conditions.
    """
    verdict = (
        find_divergence(history, signals, planned_steps, limits)
        or find_unmoved_teacher(history, planned_steps, limits)
    )  # fmt: skip
    if verdict:
        return verdict
    verdict = _judge_objective(history, signals, planned_steps, limits)
    if not verdict.condemned:
        verdict = (
            find_lost_dimensions(history, signals, planned_steps, limits)
            or find_copied_teacher(history, planned_steps, limits)
            or verdict
        )
    forgetting = find_forgetting(history, signals, planned_steps, limits)
    if forgetting:
        verdict = with_cause(forgetting, verdict)
    step = history[-1][0] if history else 0
    settled = _settling_steps(verdict.kind, signals, planned_steps or step, limits)
    if step >= settled or verdict.kind is VerdictKind.UNDECIDED:
        return verdict
    if verdict.kind is VerdictKind.CANNOT_TELL:
        return undecided(verdict.evidence)
    return undecided(
        f"At step {step}, the metrics meet {verdict.kind.rule}. The run has time until step "
        f"{settled:.0f} to settle."
    )


def _judge_objective(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict:
    if signals.num_prototypes is not None:
        return judge_teacher(history, signals, planned_steps, limits)
    if signals.reconstructs:
        return judge_reconstruction(history, planned_steps, limits)
    return undecided("The metrics of this run can show divergence and nothing else.")


def _settling_steps(
    kind: VerdictKind, signals: Signals, planned_steps: int, limits: Limits
) -> float:
    memory = limits.settling_memories * signals.center_memory_steps
    centering = min(memory, planned_steps) if kind in FEW_PROTOTYPES else 0
    return max(limits.settling_steps, centering)
