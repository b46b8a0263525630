"""Evaluates metrics that could choose a backbone without labels.

In: records. Out: ``Selection``. Next: ``poise.studies.findings.findings``.
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
"""Alternative metrics with their better direction. The first that was measured is used."""


@dataclass(frozen=True)
class Choice:
    """Quality of a metric for choosing a trial, and the trial that it would choose."""

    correlation: Correlation
    """Rank correlation with the metric from labels; positive if both agree."""

    trial: str | None
    value: float | None
    """Value of the metric from labels, for the chosen trial."""

    regret: float | None
    """Difference between the best and the chosen trial in the metric from labels; at least 0."""


@dataclass(frozen=True)
class Selector:
    """One metric that needs no labels."""

    metric: str
    mode: Mode
    """Direction that counts as better."""

    everything: Choice
    """Choice among all trials that have both metrics."""

    healthy: Choice
    """Choice among trials with a healthy verdict, which also needs no labels."""


@dataclass(frozen=True)
class Selection:
    """Metrics that need no labels, compared with a metric that needs them."""

    target: str
    mode: Mode
    best: TrialRecord
    """Trial with the best value of the metric from labels."""

    best_healthy: TrialRecord | None
    """Healthy trial with the best value of the metric from labels; None if no trial is healthy."""

    healthy_settings: int
    """Number of settings with healthy trials. A choice among seeds of a single setting is luck."""

    selectors: tuple[Selector, ...]

    @property
    def best_selectors(self) -> tuple[Selector, ...]:
        """Metrics whose choice among healthy trials loses least.

        A metric without a positive correlation is left out, because its choice was good by luck.
        """
        able = [each for each in self.selectors if (each.healthy.correlation.value or 0) > 0]
        losses = [each.healthy.regret for each in able if each.healthy.regret is not None]
        return tuple(each for each in able if each.healthy.regret == min(losses, default=0))


def select(space: Space, records: Sequence[TrialRecord]) -> Selection | None:
    """Makes the choices of metrics without labels, and compares them with the best trial.

    Only trials that trained to their end or failed are used. With fewer steps, any two metrics that
    rise during training would agree. Losses can be compared only if settings do not change their
    meaning; for example, a warmer teacher has a higher loss.

    Returns:
        The selection; None if no trial has the metric from labels.
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
