"""Metrics that are missing in a log, and instructions to log them.

In: the metrics of a log. Out: ``Missing`` metrics, the most informative first. Next:
``diagnostics/logs/judging.py``.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from poise.diagnostics.logs.facts import ObjectiveName


@dataclass(frozen=True)
class Missing:
    """Metrics that the judge needs together, and that the log does not contain."""

    metrics: tuple[str, ...]
    shows: str
    how: str


_DINO = (
    Missing(
        ("teacher/entropy", "teacher/marginal_entropy"),
        "whether the teacher is uniform, uses few prototypes, or is healthy",
        "Take the teacher's centred and sharpened softmax, [images, K], for the batch of all "
        "workers. teacher/entropy is the mean of the entropies of its rows. "
        "teacher/marginal_entropy is the entropy of its mean row.",
    ),
    Missing(
        ("loss/total",),
        "whether the student follows its teacher, or swings above ln K",
        "Log the cross-entropy of teacher and student, as a mean over all pairs of views and "
        "without other terms.",
    ),
    Missing(
        ("features/rankme",),
        "dimensional collapse",
        "Compute RankMe (arXiv 2210.02885) of the backbone's features of about 1,000 images. Log "
        "it from the first step on.",
    ),
    Missing(
        ("teacher/update_size", "teacher/ema_gap"),
        "a teacher that never moves, or that is a copy of its student",
        "teacher/update_size is the distance that the teacher's weights moved in the step. "
        "teacher/ema_gap is the distance between the weights of teacher and student. Divide both "
        "by the norm of the teacher's weights.",
    ),
)

_MAE = (
    Missing(
        ("loss/over_mean_patch",),
        "whether the decoder predicts more than the mean",
        "Divide the loss by the loss of a prediction that is always the mean patch of the batch. "
        "If the targets were normalised, give --norm-pix-loss instead.",
    ),
    _DINO[2],
)

_IMPLIED = {"loss/total": "teacher/cross_entropy"}


def missing_metrics(objective: ObjectiveName, found: Collection[str]) -> Iterator[Missing]:
    """Yields the groups of metrics that were not logged.

    Args:
        objective: name of the run's objective.
        found: metrics of the log, and metrics that were derived from these.
    """
    for each in _DINO if objective == "dino" else _MAE:
        lacking = (name for name in each.metrics if not {name, _IMPLIED.get(name)} & {*found})
        if metrics := tuple(lacking):
            yield replace(each, metrics=metrics)
