"""Finds dimensional collapse: features that use too few dimensions.

In: logged steps and the limits. Out: a ``Verdict`` of dimensional collapse, or None. Next:
``poise.diagnostics.judge.judge``, which calls this function if teacher and decoder are not at
fault.

How it decides. Features that lie on a few lines say little, however well the head above them keeps
its prototypes apart (arXiv 2110.09348). RankMe depends on the backbone's width and on the number
of images, so it is compared with its own value in the network that the run began with. That is the
first logged step: its features are computed before the first update. A healthy run that begins with
random weights keeps about half of this value, and at the lowest a third, because untrained features
have a large common part that disappears.

A decoder of hidden patches first learns the mean patch. Until it explains more than the mean,
little asks the encoder to distinguish images. RankMe of a healthy encoder then falls, even below a
fifth of its first value, and rises again when the decoder begins to explain patches. So RankMe
counts from the step at which the decoder begins. Before that, it counts only where the predictions
are constant as well: those of a healthy run differ between patches at every step.
"""

from dataclasses import dataclass

from poise.config.objectives import Signals
from poise.config.wording import in_percent
from poise.diagnostics.history import History
from poise.diagnostics.judge.collapse import collapse_verdict
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.persistence import in_part, stretch_at_end, why_too_short
from poise.diagnostics.judge.reconstruction import steps_before_learning
from poise.diagnostics.judge.teacher_schedule import read_schedule
from poise.diagnostics.judge.verdict import Verdict, VerdictKind


@dataclass(frozen=True)
class _Point:
    """Metrics of the features at one logged step."""

    step: int
    rank: float
    """RankMe (effective rank of the features). It is from 1 to the number of feature dimensions or
    of images, whichever is smaller.
    """

    ema_gap: float | None


def find_lost_dimensions(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """Returns a verdict if the features lost dimensions and did not regain them, else None."""
    points = _read_points(history)
    if not points:
        return None
    first = max(point.rank for point in points[: limits.min_observations])
    spared = steps_before_learning(history, limits) if signals.reconstructs else ()

    def is_lost(point: _Point) -> bool:
        return point.rank < limits.lost_rank_share * first and point.step not in spared

    tail = stretch_at_end(points, is_lost, limits)
    if not tail:
        return None
    kind, steps = VerdictKind.DIMENSIONAL, [point.step for point in tail]
    plan = planned_steps or steps[-1]
    if why_too_short(kind, steps, limits.min_observations, plan, limits, kind.rule):
        return None
    lost = [point.rank for point in tail if is_lost(point)]
    evidence = (
        f"Since step {tail[0].step}, RankMe of the features has been at most {max(lost):.3g}"
        f"{in_part(len(lost), len(tail))}. This is {in_percent(max(lost) / first, 0)} of its value "
        f"at the beginning ({first:.3g})."
    )
    return collapse_verdict(kind, tail, evidence, read_schedule(history), limits)


def _read_points(history: History) -> list[_Point]:
    return [
        _Point(step, metrics["features/rankme"], metrics.get("teacher/ema_gap"))
        for step, metrics in history
        if "features/rankme" in metrics
    ]
