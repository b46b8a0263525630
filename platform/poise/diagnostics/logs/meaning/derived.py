"""Derives further metrics from the metrics of a log.

In: the columns of a log, and K. Out: the metrics in the log, and metrics that follow from them,
such as the mutual information from entropies. Next: ``diagnostics/logs/judging.py``.
"""

import math
from collections.abc import Mapping

from poise.config.metrics import OVER_LN_K
from poise.diagnostics.history import History
from poise.diagnostics.logs.log import Log
from poise.diagnostics.logs.meaning.sources import Source

_ENTROPY, _KL, _CROSS = "teacher/entropy", "teacher/kl", "teacher/cross_entropy"
_MARGINAL, _INFORMATION = "teacher/marginal_entropy", "teacher/mutual_information"
_LOSS, _LOSS_SHARE = "loss/total", "loss/over_ln_k"

_SUMS = ((_CROSS, _ENTROPY, _KL), (_MARGINAL, _ENTROPY, _INFORMATION))
"""Groups of three metrics. In each group the first metric is the sum of the second and the third.
"""


def metrics_of(log: Log, sources: Mapping[str, Source]) -> History:
    """Converts a log to a history with Poise's names.

    Steps without any known metric are left out.
    """
    history = []
    for step, row in log.history:
        values = {metric: source.value(row) for metric, source in sources.items()}
        known = {metric: value for metric, value in values.items() if value is not None}
        if known:
            history.append((step, known))
    return history


def with_teacher(history: History, num_prototypes: int) -> History:
    """Adds the metrics that follow from the teacher's metrics and K.

    The loss of DINO is the cross-entropy of teacher and student, averaged over all pairs of views.
    """
    ln_k = math.log(num_prototypes)
    return [(step, _completed(metrics, ln_k)) for step, metrics in history]


def _completed(metrics: Mapping[str, float], ln_k: float) -> dict[str, float]:
    values = dict(metrics)
    for nats, share in OVER_LN_K.items():
        if share in values:
            values.setdefault(nats, values[share] * ln_k)
    if _LOSS_SHARE in values:
        values.setdefault(_CROSS, values[_LOSS_SHARE] * ln_k)
    elif _LOSS in values:
        values.setdefault(_CROSS, values[_LOSS])
    for whole, first, second in _SUMS:
        _complete_sum(values, whole, first, second)
    if _CROSS in values:
        values.setdefault(_LOSS_SHARE, values[_CROSS] / ln_k)
    for nats, share in OVER_LN_K.items():
        if nats in values:
            values.setdefault(share, values[nats] / ln_k)
    return values


def _complete_sum(values: dict[str, float], whole: str, first: str, second: str) -> None:
    if first in values and second in values:
        values.setdefault(whole, values[first] + values[second])
    elif whole in values and first in values:
        values[second] = values[whole] - values[first]
    elif whole in values and second in values:
        values[first] = values[whole] - values[second]


def with_normalized_targets(history: History) -> History:
    """Adds the metric ``loss/over_mean_patch`` of MAE with normalised targets: it equals the loss.

    Each target patch has variance 1. So a decoder that predicts the mean patch has a loss near 1.
    """
    return [
        (step, {"loss/over_mean_patch": metrics[_LOSS], **metrics} if _LOSS in metrics else metrics)
        for step, metrics in history
    ]
