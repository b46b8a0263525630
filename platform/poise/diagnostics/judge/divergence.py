"""The verdict on a run whose numbers have exploded.

In: logged steps and the limits. Out: a ``Verdict`` of divergence, or none. Next:
``poise.diagnostics.judge.judge``, which asks this first.

How it decides. A loss, a gradient or an output that is not finite at the end has diverged at once;
of what is only looked at (features, patches, prototypes) single numbers may be undefined for a
batch, and several in a row are divergence too. A loss may also explode and stay finite, where
logits are bounded or precision is wide: far worse than knowing nothing, and than at first.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from poise.config.objectives import Signals
from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.persistence import stretch_at_end, why_too_short
from poise.diagnostics.judge.verdict import Limits, Verdict, VerdictKind

_TRAINED = ("loss/", "teacher/", "student/", "prediction/", "gradient/")
_LOOKED_AT = ("center/", "prototypes/", "features/", "patches/", "tokens/")


def find_divergence(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """The verdict on numbers that exploded, or none; arguments as of ``judge``."""
    return _find_not_finite(history, limits) or _find_explosion(
        history, signals, planned_steps, limits
    )


def _find_not_finite(history: History, limits: Limits) -> Verdict | None:
    for name in history[-1][1] if history else ():
        needed = limits.min_observations if name.startswith(_LOOKED_AT) else 1
        if not name.startswith(_TRAINED + _LOOKED_AT):
            continue
        latest = list(islice(_values(history, name), needed))
        if len(latest) == needed and not any(math.isfinite(value) for _, value in latest):
            step, value = _onset(history, name)
            evidence = f"{name} is {value} at step {step}"
            return Verdict(VerdictKind.DIVERGED, step, evidence, advice.DIVERGED)
    return None


def _values(history: History, name: str) -> Iterator[tuple[int, float]]:
    """Backwards from the end: a run is judged often, and its end decides."""
    return ((step, m[name]) for step, m in reversed(history) if name in m)


def _finite(
    history: Iterable[tuple[int, Mapping[str, float]]], name: str
) -> Iterator[tuple[int, float]]:
    return ((step, m[name]) for step, m in history if name in m and math.isfinite(m[name]))


def _onset(history: History, name: str) -> tuple[int, float]:
    onset = (0, math.nan)
    for step, value in _values(history, name):
        if math.isfinite(value):
            break
        onset = step, value
    return onset


def _find_explosion(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    if signals.relative_loss is None:
        return None
    name, label = signals.relative_loss
    first = next((loss for _, loss in _finite(history, name)), math.inf)
    latest = next((loss for _, loss in _finite(reversed(history), name)), first)
    most = limits.exploded_factor * max(first, 1)
    if latest <= most:  # nearly always: nothing else is read of a long history
        return None
    tail = stretch_at_end([*_finite(history, name)], lambda point: point[1] > most, limits)
    steps, kind = [step for step, _ in tail], VerdictKind.DIVERGED
    if why_too_short(kind, steps, limits.min_observations, planned_steps or steps[-1], limits):
        return None
    evidence = (
        f"since step {steps[0]} {label} is above {most:.3g}, where knowing nothing gives 1; at "
        f"step {steps[-1]} it is {tail[-1][1]:.3g}"
    )
    return Verdict(kind, steps[0], evidence, advice.DIVERGED)
