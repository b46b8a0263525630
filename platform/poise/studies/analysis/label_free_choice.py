"""Metrics that could choose a backbone without labels, and how well they would have done.

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
"""Alternatives with their better direction; the first that was measured is used."""


@dataclass(frozen=True)
class Choice:
    """Quality of a metric that orders trials, and the trial that it would choose."""

    correlation: Correlation
    """Rank correlation with the figure from labels; positive where both agree."""

    trial: str | None
    value: float | None
    """The chosen trial's figure from labels."""

    regret: float | None
    """How far the chosen trial is from the best one, in the figure's unit; at least 0."""


@dataclass(frozen=True)
class Selector:
    """One metric that needs no labels."""

    metric: str
    mode: Mode
    """The direction that is taken as better."""

    everything: Choice
    """The choice among all trials that have both figures."""

    healthy: Choice
    """The choice among trials with a healthy verdict, which needs no labels either."""


@dataclass(frozen=True)
class Selection:
    """Metrics that need no labels, compared with one that does."""

    target: str
    mode: Mode
    best: TrialRecord
    """The trial with the best figure from labels."""

    best_healthy: TrialRecord | None
    """The healthy trial with the best figure from labels; none without one."""

    healthy_settings: int
    """Number of settings with healthy trials; a choice among seeds of one setting is luck."""

    selectors: tuple[Selector, ...]

    @property
    def best_selectors(self) -> tuple[Selector, ...]:
        """The metrics whose choice among healthy trials loses least.

        A metric without a positive correlation is left out: it chose well by luck.
        """
        able = [each for each in self.selectors if (each.healthy.correlation.value or 0) > 0]
        losses = [each.healthy.regret for each in able if each.healthy.regret is not None]
        return tuple(each for each in able if each.healthy.regret == min(losses, default=0))


def select(space: Space, records: Sequence[TrialRecord]) -> Selection | None:
    """The choices of metrics without labels, and how far they are from the best trial.

    Only trials that trained to their end or were condemned are used: with fewer steps, any two
    metrics that rise during training would agree. A loss can only be compared where settings do
    not change its meaning: a warmer teacher has a higher loss.

    Returns:
        None where no trial has the figure that labels give.
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
