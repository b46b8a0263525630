"""Finds runs whose metrics have exploded.

In: logged steps and the limits. Out: a ``Verdict`` of divergence, or None. Next:
``poise.diagnostics.judge.judge``, which calls this function first.

How it decides: a run has diverged if a loss, a gradient or an output is not finite at the end of
the history. Metrics that are only observed (features, patches, prototypes) may be undefined for a
single batch. Several undefined values in a row are divergence. A loss can also explode and stay
finite, because logits are bounded. Then it is far above its first value and far above the loss of
an untrained model.

If metrics are not finite from the first steps on, the images are often the cause. So the verdict
looks at the normalised views before it advises to change the optimiser.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from poise.config.objectives import Signals
from poise.diagnostics.history import History
from poise.diagnostics.judge import advice
from poise.diagnostics.judge.limits import Limits
from poise.diagnostics.judge.persistence import in_part, stretch_at_end, why_too_short
from poise.diagnostics.judge.verdict import Verdict, VerdictKind

_TRAINED = ("loss/", "teacher/", "student/", "prediction/", "gradient/")
_OBSERVED = ("center/", "prototypes/", "features/", "patches/", "tokens/")
_VIEWS = "views/largest_value"

_NEWEST_STEPS = 100
"""Number of logged steps whose metrics are checked. The whole history would be read too often."""


def find_divergence(
    history: History, signals: Signals, planned_steps: int | None, limits: Limits
) -> Verdict | None:
    """Returns a verdict if a metric is not finite or the loss exploded, else None.

    For the arguments see ``judge``.
    """
    return _find_not_finite(history, limits) or _find_explosion(
        history, signals, planned_steps, limits
    )


def _find_not_finite(history: History, limits: Limits) -> Verdict | None:
    for name in _newest_names(history):
        needed = limits.min_observations if name.startswith(_OBSERVED) else 1
        if not name.startswith(_TRAINED + _OBSERVED):
            continue
        latest = list(islice(_values_from_end(history, name), needed))
        if len(latest) == needed and not any(math.isfinite(value) for _, value in latest):
            step, value = _onset(history, name)
            what_to_try, views = _look_at_views(history, step, limits)
            evidence = f"At step {step} {name} is {value}.{views}"
            return Verdict(VerdictKind.DIVERGED, step, evidence, what_to_try)
    return None


def _newest_names(history: History) -> dict[str, None]:
    """Returns the names of metrics in the newest steps.

    The last step alone may contain only other metrics, such as entropies that are computed rarely.
    """
    newest = islice(reversed(history), _NEWEST_STEPS)
    return {name: None for _, metrics in newest for name in metrics}


def _look_at_views(history: History, onset_step: int, limits: Limits) -> tuple[str, str]:
    """Returns advice for a run that diverged at this step, and a sentence about wrong pixels."""
    values = [metrics[_VIEWS] for _, metrics in history if _VIEWS in metrics]
    wrong = next((v for v in values if not abs(v) <= limits.wild_view_value), None)
    if wrong is not None:
        size = f"reach {wrong:.3g}" if math.isfinite(wrong) else "are not all finite"
        return advice.INPUTS, f" The normalised pixels of the views {size}."
    is_early = onset_step <= limits.settling_steps
    return advice.INPUTS_OR_OPTIMIZER if is_early and not values else advice.DIVERGED, ""


def _values_from_end(history: History, name: str) -> Iterator[tuple[int, float]]:
    """Yields the metric's values, newest first.

    The function reads only as much of the history as the caller needs, because a run is judged
    often.
    """
    return ((step, m[name]) for step, m in reversed(history) if name in m)


def _finite(
    history: Iterable[tuple[int, Mapping[str, float]]], name: str
) -> Iterator[tuple[int, float]]:
    return ((step, m[name]) for step, m in history if name in m and math.isfinite(m[name]))


def _onset(history: History, name: str) -> tuple[int, float]:
    onset = (0, math.nan)
    for step, value in _values_from_end(history, name):
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
    if latest <= most:  # true in nearly all runs: then the long history need not be read
        return None

    def is_above(point: tuple[int, float]) -> bool:
        return point[1] > most

    tail = stretch_at_end([*_finite(history, name)], is_above, limits)
    steps, kind = [step for step, _ in tail], VerdictKind.DIVERGED
    plan = planned_steps or steps[-1]
    if why_too_short(kind, steps, limits.min_observations, plan, limits, kind.rule):
        return None
    what_to_try, views = _look_at_views(history, steps[0], limits)
    above = in_part(sum(map(is_above, tail)), len(tail))
    evidence = (
        f"Since step {steps[0]}, {label} has been above {most:.3g}{above}. A model that has "
        f"learned nothing has 1. At step {steps[-1]} {label} is {tail[-1][1]:.3g}.{views}"
    )
    return Verdict(kind, steps[0], evidence, what_to_try)
