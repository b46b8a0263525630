"""Measures how well metrics without labels choose the best backbone.

The best backbone is known from a metric that needs labels, such as k-NN accuracy.

In: records of trials. Out: ``Selection``. Next: ``poise.studies.findings.findings``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from poise.config.metrics import LABELLED, Mode
from poise.config.space import Space
from poise.studies.analysis.intervals import Correlation, rank_correlation
from poise.studies.outcomes import figure, is_healthy
from poise.studies.records import TrialRecord

_SELECTORS: tuple[tuple[tuple[str, ...], Mode], ...] = (
    (("eval/rankme", "features/rankme"), "max"),
    (("eval/lidar", "features/lidar"), "max"),
    (("loss/total",), "min"),
    (("teacher/mutual_information",), "max"),
)
"""Metrics that need no labels. ``max`` means that a higher value is better. Each row has several
names of one metric. The first name with measured values is used.
"""


@dataclass(frozen=True)
class Choice:
    """Trial that a metric without labels would choose, and the quality of this choice."""

    correlation: Correlation
    """Rank correlation with the metric that needs labels. It is positive if both metrics sort the
    trials in a similar order.
    """

    trial: str | None
    value: float | None
    """Value of the chosen trial in the metric that needs labels."""

    regret: float | None
    """Difference between the best trial and the chosen trial in the metric that needs labels, at
    least 0.
    """


@dataclass(frozen=True)
class Selector:
    """One metric that needs no labels, and its choices."""

    metric: str
    mode: Mode
    """Direction that counts as better: ``max`` or ``min``."""

    everything: Choice
    """Choice among all trials that have a value of both metrics."""

    healthy: Choice
    """Choice among healthy trials only. A verdict also needs no labels."""


@dataclass(frozen=True)
class Selection:
    """Choices by metrics without labels, compared with a metric that needs labels."""

    target: str
    mode: Mode
    best: TrialRecord
    """Trial with the best value of the metric that needs labels."""

    best_healthy: TrialRecord | None
    """Healthy trial with the best value of the metric that needs labels, or None without such a
    trial.
    """

    healthy_settings: int
    """Number of settings with healthy trials. With one setting, trials differ only in their seed,
    so the choice is luck.
    """

    selectors: tuple[Selector, ...]

    @property
    def best_selectors(self) -> tuple[Selector, ...]:
        """Metrics whose choice among healthy trials is closest to the best trial.

        A metric without a positive correlation is left out, because its good choice was luck.
        """
        able = [each for each in self.selectors if (each.healthy.correlation.value or 0) > 0]
        losses = [each.healthy.regret for each in able if each.healthy.regret is not None]
        return tuple(each for each in able if each.healthy.regret == min(losses, default=0))


def select(space: Space, records: Sequence[TrialRecord]) -> Selection | None:
    """Chooses a trial by each metric without labels, and compares it with the best trial.

    Only trials that failed or trained to the end are used. Other trials have fewer steps. With such
    trials, any two metrics that rise during training would seem to agree. Losses of different
    settings may not be comparable: for example, a higher teacher temperature gives a higher loss.

    Returns:
        The selection. It is None if no trial has a value of the metric that needs labels.
    """
    target = next((m for m in space.metric if m in LABELLED), "eval/knn_top1")
    mode: Mode = next((goal.mode for goal in space.goals if goal.metric == target), "max")
    labelled = [record for record in records if figure(record, target) is not None]
    if not labelled:
        return None
    healthy = [record for record in labelled if is_healthy(record)]
    return Selection(
        target=target,
        mode=mode,
        best=_chosen(labelled, target, mode),
        best_healthy=_chosen(healthy, target, mode) if healthy else None,
        healthy_settings=len({record.trial.setting for record in healthy}),
        selectors=tuple(
            Selector(
                name,
                direction,
                _choice(labelled, (name, direction), (target, mode)),
                _choice(healthy, (name, direction), (target, mode)),
            )
            for name, direction in _measured(labelled)
        ),
    )


def _measured(records: Sequence[TrialRecord]) -> Iterator[tuple[str, Mode]]:
    for names, mode in _SELECTORS:
        for name in names:
            if any(figure(record, name) is not None for record in records):
                yield name, mode
                break


def _choice(
    records: Sequence[TrialRecord], selector: tuple[str, Mode], target: tuple[str, Mode]
) -> Choice:
    (metric, direction), (label, mode) = selector, target
    both = [record for record in records if figure(record, metric) is not None]
    correlation = rank_correlation(
        [_sign(direction) * record.metrics[metric] for record in both],
        [_sign(mode) * record.metrics[label] for record in both],
    )
    if not both:
        return Choice(correlation, None, None, None)
    chosen, best = _chosen(both, metric, direction), _chosen(both, label, mode)
    regret = _sign(mode) * (best.metrics[label] - chosen.metrics[label])
    return Choice(correlation, chosen.trial.name, chosen.metrics[label], regret)


def _chosen(records: Sequence[TrialRecord], metric: str, mode: Mode) -> TrialRecord:
    return max(records, key=lambda record: _sign(mode) * record.metrics[metric])


def _sign(mode: Mode) -> int:
    return 1 if mode == "max" else -1
