"""From a run's history to the verdict on it.

In: the metrics of one run by step, and what they are expected to hold. Out: a ``Verdict``. Next:
whoever shows or acts on it.

Divergence is the same for every run. Collapse is judged by what a run's objective lets one see: a
teacher over prototypes (``judge_teacher``), or pixels that it predicts (``judge_reconstruction``).
Where these look well the features themselves may not (``judge_features``).
"""

import math

from poise.config.objectives import Signals
from poise.diagnostics import advice
from poise.diagnostics.judge_features import find_lost_dimensions
from poise.diagnostics.judge_reconstruction import judge_reconstruction
from poise.diagnostics.judge_teacher import judge_teacher
from poise.diagnostics.persistence import History, undecided
from poise.diagnostics.verdict import DEFAULT_THRESHOLDS, Thresholds, Verdict, VerdictKind

_TRAINING_GROUPS = (
    *("loss/", "teacher/", "student/", "center/", "prototypes/"),
    *("prediction/", "features/", "patches/", "tokens/", "gradient/"),
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
    diverged = _find_divergence(history)
    if diverged:
        return diverged
    if signals.num_prototypes is not None:
        verdict = judge_teacher(
            history, signals.num_prototypes, signals.batch_images, total_steps, thresholds
        )
    elif signals.reconstructs:
        verdict = judge_reconstruction(history, total_steps, thresholds)
    else:
        verdict = undecided("nothing but divergence can be told from its metrics")
    if verdict.kind is VerdictKind.HEALTHY:
        verdict = find_lost_dimensions(history, total_steps, thresholds) or verdict
    step = history[-1][0] if history else 0
    settled = min(_settling_steps(signals, thresholds), total_steps or step)
    if verdict.condemned and step < settled:
        return undecided(
            f"it looks {verdict.kind} at step {step}, and is given until step {settled:.0f} to "
            "settle"
        )
    return verdict


def _settling_steps(signals: Signals, limits: Thresholds) -> float:
    return max(limits.settling_steps, limits.settling_memories * signals.center_memory_steps)


def _find_divergence(history: History) -> Verdict | None:
    for step, metrics in history:
        for name, value in metrics.items():
            if name.startswith(_TRAINING_GROUPS) and not math.isfinite(value):
                evidence = f"{name} is {value} at step {step}"
                return Verdict(VerdictKind.DIVERGED, step, evidence, advice.DIVERGED)
    return None
