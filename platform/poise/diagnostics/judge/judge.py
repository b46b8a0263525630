"""From a run's history to the verdict on it.

In: the metrics of one run by step, and what they are expected to hold. Out: a ``Verdict``. Next:
whoever shows or acts on it.

Divergence is the same for every run. Collapse is judged by what a run's objective lets one see: a
teacher over prototypes (``judge_teacher``), or pixels that it predicts (``judge_reconstruction``).
Where these look well the features themselves may not (``judge_features``).
"""

from poise.config.objectives import Signals
from poise.diagnostics.judge.divergence import find_divergence
from poise.diagnostics.judge.features import find_lost_dimensions
from poise.diagnostics.judge.persistence import History, undecided
from poise.diagnostics.judge.reconstruction import judge_reconstruction
from poise.diagnostics.judge.teacher import judge_teacher
from poise.diagnostics.judge.verdict import (
    DEFAULT_THRESHOLDS,
    FEW_PROTOTYPES,
    Thresholds,
    Verdict,
    VerdictKind,
)


def judge(
    history: History,
    signals: Signals,
    total_steps: int | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> Verdict:
    """The verdict on a run so far.

    Args:
        history: ``(step, metrics)`` with rising steps; metrics may be partial, steps without
            what ``signals`` promises are looked at for divergence alone.
        signals: what the metrics are expected to hold.
        total_steps: steps that the run was planned for; none means that the history is complete.
        thresholds: the limits.
    """
    diverged = find_divergence(history, signals, total_steps, thresholds)
    if diverged:
        return diverged
    verdict = _judge_objective(history, signals, total_steps, thresholds)
    if not verdict.condemned:
        verdict = find_lost_dimensions(history, total_steps, thresholds) or verdict
    step = history[-1][0] if history else 0
    settled = _settling_steps(verdict.kind, signals, total_steps or step, thresholds)
    if verdict.kind is not VerdictKind.UNDECIDED and step < settled:
        return undecided(
            f"it looks {verdict.kind} at step {step}, and is given until step {settled:.0f} to "
            "settle"
        )
    return verdict


def _judge_objective(
    history: History, signals: Signals, total_steps: int | None, limits: Thresholds
) -> Verdict:
    if signals.num_prototypes is not None:
        return judge_teacher(history, signals, total_steps, limits)
    if signals.reconstructs:
        return judge_reconstruction(history, total_steps, limits)
    return undecided("nothing but divergence can be told from its metrics")


def _settling_steps(
    kind: VerdictKind, signals: Signals, planned_steps: int, limits: Thresholds
) -> float:
    memory = limits.settling_memories * signals.center_memory_steps
    centering = min(memory, planned_steps) if kind in FEW_PROTOTYPES else 0
    return max(limits.settling_steps, centering)
