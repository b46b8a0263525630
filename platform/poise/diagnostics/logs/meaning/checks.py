"""Checks that the metrics of a log are possible. Impossible values mean a wrong column or K.

In: the history of metrics, and K. Out: nothing, or an error that names the value, its step and the
fix. Next: ``diagnostics/logs/judging.py``.
"""

import math
from collections.abc import Mapping
from itertools import chain

from poise.config.errors import PoiseError
from poise.diagnostics.history import History
from poise.diagnostics.judge.limits import DEFAULT_LIMITS
from poise.diagnostics.logs.log import Log
from poise.diagnostics.logs.meaning.sources import UNITS, Source

_ROUNDING = 0.01
_ENTROPIES = ("teacher/entropy", "teacher/marginal_entropy")
_NOT_NEGATIVE = (*_ENTROPIES, "teacher/cross_entropy", "loss/over_mean_patch", "features/rankme")
_MOST_AT_FIRST = 1.15
_MOST_OF_LN_K = DEFAULT_LIMITS.swinging_loss_share
_ORDER = ("teacher/entropy", ("teacher/marginal_entropy", "teacher/cross_entropy"))


def check_values(
    log: Log, history: History, sources: Mapping[str, Source], num_prototypes: int | None
) -> None:
    """Raises an error if values are impossible.

    Raises:
        PoiseError: an entropy is above ln K; a value is below 0; the mean entropy of single images
            is above the entropy of the mean; or the loss is above ln K at the start or at all
            steps.
    """
    most = {} if num_prototypes is None else dict.fromkeys(_ENTROPIES, math.log(num_prototypes))
    for step, metrics in history:
        for name in _NOT_NEGATIVE:
            if metrics.get(name, 0.0) < -_ROUNDING:
                raise _impossible(log, sources, name, step, metrics[name], "below 0")
        for name, limit in most.items():
            if limit * (1 + _ROUNDING) < metrics.get(name, 0.0) < math.inf:
                above = f"above ln {num_prototypes} = {limit:.4g}"
                raise _impossible(log, sources, name, step, metrics[name], above)
    if num_prototypes is not None:
        _check_order(log, history, sources, math.log(num_prototypes))
        _check_loss(log, history, sources, num_prototypes)


def _impossible(
    log: Log, sources: Mapping[str, Source], name: str, step: int, value: float, fault: str
) -> PoiseError:
    shown = f" (from {sources[name]})" if name in sources else ""
    return PoiseError(
        f"{log.source}: {name}{shown} is {value:.4g} at {log.unit} {step}, {fault}; give its unit "
        f"with --metric '{name}=COLUMN[UNIT]' (units: {', '.join(UNITS)}; without one, entropies "
        "and losses are in nats), or name another column"
    )


def _check_order(log: Log, history: History, sources: Mapping[str, Source], ln_k: float) -> None:
    """Raises an error if entropies contradict each other.

    The mean entropy is at most the entropy of the mean, and at most the cross-entropy.
    """
    low, highs = _ORDER
    for high in highs:
        both = [
            m for _, m in history if math.isfinite(m.get(low, math.nan) + m.get(high, math.nan))
        ]
        wrong = [m for m in both if m[low] - m[high] > _ROUNDING * ln_k]
        if 2 * len(wrong) > len(both):
            raise PoiseError(
                f"{log.source}: {low} is above {high} at {len(wrong)} of {len(both)} logged "
                f"{log.unit}s (as {wrong[0][low]:.4g} and {wrong[0][high]:.4g}), which no run can "
                f"have; both must be in nats and at the same {log.unit}, and one must not be named "
                "as the other"
            )


def _check_loss(
    log: Log, history: History, sources: Mapping[str, Source], num_prototypes: int
) -> None:
    """Raises an error if the loss starts or stays above ln K.

    Then the given K is wrong, or the column does not contain DINO's loss.
    """
    losses = loss_shares(history)
    if not losses or (losses[0] <= _MOST_AT_FIRST and min(losses) <= _MOST_OF_LN_K):
        return
    ln_k = math.log(num_prototypes)
    names = sorted(set(chain.from_iterable(source.columns for source in sources.values())))
    raise PoiseError(
        f"{log.source}: its loss begins at {losses[0] * ln_k:.4g} and is never below "
        f"{min(losses) * ln_k:.4g}, and ln {num_prototypes} is {ln_k:.4g}; a loss that is the mean "
        "cross-entropy begins near ln K; "
        f"{likely_prototypes(losses[0] * ln_k)}, or name the part of the loss that compares "
        f"teacher and student: --metric teacher/cross_entropy=COLUMN (read "
        f"so far: {', '.join(names)})"
    )


def loss_shares(history: History) -> list[float]:
    """Returns the finite losses divided by ln K, in the order of the steps."""
    shares = (metrics.get("loss/over_ln_k", math.nan) for _, metrics in history)
    return [share for share in shares if math.isfinite(share)]


def likely_prototypes(loss: float) -> str:
    """Returns a sentence that suggests K: the power of 2 whose logarithm is nearest to the loss."""
    if not 1 < loss < 20:
        return "give the K of its head with --prototypes K"
    likely = 2 ** round(loss / math.log(2))
    return (
        f"the log begins at {loss:.4g}, near ln {likely}: if that is K, give --prototypes {likely}"
    )
