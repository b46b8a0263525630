"""From a run's history to the verdict on it.

In: the metrics of one run by step, and what they are expected to hold. Out: a ``Verdict``. Next:
whoever shows or acts on it.

Divergence is the same for every run. Collapse is judged by what a run's objective lets one see: a
teacher over prototypes (``judge_teacher``), or pixels that it predicts (``judge_reconstruction``).
Where these look well the features themselves may not (``judge_features``).
"""

from poise.config.objectives import Signals
from poise.diagnostics.history import History
from poise.diagnostics.judge.divergence import find_divergence
from poise.diagnostics.judge.features import find_lost_dimensions
from poise.diagnostics.judge.persistence import undecided
from poise.diagnostics.judge.reconstruction import judge_reconstruction
from poise.diagnostics.judge.teacher import judge_teacher
from poise.diagnostics.judge.verdict import (
    DEFAULT_LIMITS,
    FEW_PROTOTYPES,
    Limits,
    Verdict,
    VerdictKind,
)


def judge(
    history: History,
    signals: Signals,
    planned_steps: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Verdict:
    """The verdict on a run so far.

    Args:
        history: ``(step, metrics)`` with rising steps; metrics may be partial, steps without
            what ``signals`` promises are looked at for divergence alone.
        signals: what the metrics are expected to hold.
        planned_steps: steps that the run was planned for; none means that the history is complete.
        limits: the limits.
    """
    diverged = find_divergence(history, signals, planned_steps, limits)
    if diverged:
        return diverged
    verdict = _judge_objective(history, signals, planned_steps, limits)
    if not verdict.condemned:
        verdict = find_lost_dimensions(history, planned_steps, limits) or verdict
    step = history[-1][0] if history else 0
    settled = _settling_steps(verdict.kind, signals, planned_steps or step, limits)
    if verdict.kind is not VerdictKind.UNDECIDED and step < settled:
        return undecided(
            f"it looks {verdict.kind} at step {step}, and is given until step {settled:.0f} to "
            "settle"
        )
    return verdict


def _judge_objective(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict:
    if signals.num_prototypes is not None:
        return judge_teacher(history, signals, planned_steps, limits)
    if signals.reconstructs:
        return judge_reconstruction(history, planned_steps, limits)
    return undecided("nothing but divergence can be told from its metrics")


def _settling_steps(
    kind: VerdictKind, signals: Signals, planned_steps: int, limits: Limits
) -> float:
    memory = limits.settling_memories * signals.center_memory_steps
    centering = min(memory, planned_steps) if kind in FEW_PROTOTYPES else 0
    return max(limits.settling_steps, centering)
