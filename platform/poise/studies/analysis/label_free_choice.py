"""Choosing a backbone without labels: which metric would have chosen best.

In: records. Out: ``Selection``. Next: ``poise.studies.findings.findings``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from poise.config.metrics import LABELLED, Mode
from poise.config.space import Space
from poise.studies.estimates import Correlation, rank_correlation
from poise.studies.outcomes import figure, is_healthy
from poise.studies.records import TrialRecord

_SELECTORS: tuple[tuple[tuple[str, ...], Mode], ...] = (
    (("eval/rankme", "features/rankme"), "max"),
    (("eval/lidar", "features/lidar"), "max"),
    (("loss/total",), "min"),
    (("teacher/mutual_information",), "max"),
)
"""Metrics, of which the first that was measured is taken, and which end of it is good."""


@dataclass(frozen=True)
class Choice:
    """What a metric knows of some trials, and which of them it would have chosen."""

    correlation: Correlation
    """With the figure that labels give; positive where the metric points the right way."""

    trial: str | None
    value: float | None
    """The figure that labels give for the chosen trial."""

    regret: float | None
    """To the best of the same trials, in the figure's unit; never negative."""


@dataclass(frozen=True)
class Selector:
    """One metric that needs no labels."""

    metric: str
    mode: Mode
    """Which of its ends is taken for good."""

    everything: Choice
    """Among all trials that have both figures."""

    healthy: Choice
    """Among those with a healthy verdict, which needs no labels either."""


@dataclass(frozen=True)
class Selection:
    """Metrics that need no labels, held against one that does."""

    target: str
    mode: Mode
    best: TrialRecord
    """The trial that labels choose."""

    best_healthy: TrialRecord | None
    """The healthy one that they choose; none where none is healthy."""

    healthy_settings: int
    """How many settings the healthy trials are of: choosing among seeds of one is luck."""

    selectors: tuple[Selector, ...]

    @property
    def best_selectors(self) -> tuple[Selector, ...]:
        """Whose choices among the healthy trials lose least, of those that order them rightly.

        One whose correlation is not positive chose well by luck.
        """
        able = [each for each in self.selectors if (each.healthy.correlation.value or 0) > 0]
        losses = [each.healthy.regret for each in able if each.healthy.regret is not None]
        return tuple(each for each in able if each.healthy.regret == min(losses, default=0))


def select(space: Space, records: Sequence[TrialRecord]) -> Selection | None:
    """What metrics without labels would have chosen, and how far from the best that is.

    Only trials that trained to their end or were condemned are looked at: figures of fewer steps
    would make any two metrics that rise with training look alike. A loss is only comparable where
    the settings do not change what it means: a warmer teacher has a higher one by itself.

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
