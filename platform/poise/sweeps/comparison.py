"""Setting against setting: the study's table.

In: a study's records. Out: a ``Comparison``. Next: the terminal, and ``poise.sweeps.findings``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from poise.config.space import Mode
from poise.sweeps.estimates import (
    Difference,
    Estimate,
    Share,
    holm,
    mean_interval,
    paired_difference,
)
from poise.sweeps.outcomes import condemned_as, condemned_share, figure, is_condemned, tally
from poise.sweeps.records import Study, TrialRecord
from poise.sweeps.wording import describe, metric_name, number, short_names, unit

PROOF_NEEDS_SEEDS = 3
"""Two seeds have an interval, but one odd seed decides it."""

_MOST_NAMED = 5
"""Trials in one sentence."""


@dataclass(frozen=True)
class SettingRow:
    """One setting, over its seeds."""

    setting: int
    label: str
    """``center_momentum=0.9, teacher_temp=0.04``."""

    settings: dict[str, Any]
    """Value by dotted key."""

    is_baseline: bool
    trials: tuple[str, ...]
    values: dict[int, float | None]
    """The first metric by seed; none where it was not measured."""

    mean: Estimate
    difference: Difference | None
    """To the baseline; none for the baseline itself and where there is none."""

    condemned: Share
    """Of the seeds that have a decided verdict."""

    verdicts: dict[str, int]
    """How often each outcome came, most frequent first."""

    onset_step: float | None
    """Median of the steps at which condemned seeds began to fail."""

    others: dict[str, Estimate]
    """The other metrics that the study asks for."""

    @property
    def is_healthy(self) -> bool:
        """Whether it can be recommended: no seed was condemned, and some are healthy."""
        return self.condemned.n > 0 and self.condemned.count == 0


@dataclass(frozen=True)
class Comparison:
    """All settings of a study, each a row."""

    metric: str
    mode: Mode
    names: dict[str, str]
    """Dotted key of each varied setting → its short name."""

    rows: tuple[SettingRow, ...]
    """In the order of settings."""

    condemned_as: str
    """What condemned trials have in common: ``collapsed``, or ``collapsed, stuck or diverged``."""

    untrained: float | None
    """What the metric is before training, mean over trials; none where it was not measured."""

    notes: tuple[str, ...]
    """What the numbers do not prove, in sentences."""

    @property
    def baseline(self) -> SettingRow | None:
        """What the others are held against."""
        return next((row for row in self.rows if row.is_baseline), None)

    @property
    def failed(self) -> str:
        """``condemned_as`` as what a setting did."""
        return self.condemned_as.replace("stuck", "got stuck")

    @property
    def healthy(self) -> tuple[SettingRow, ...]:
        """The settings of which no seed was condemned and some are healthy, best mean first."""
        return ranked([row for row in self.rows if row.is_healthy], self.mode)


def compare(study: Study, records: Sequence[TrialRecord]) -> Comparison:
    """Every setting over its seeds, held against the baseline where the study has one.

    Args:
        study: that asked.
        records: of its trials, in any state.
    """
    by_setting: dict[int, list[TrialRecord]] = {}
    for record in sorted(records, key=lambda record: (record.trial.setting, record.trial.seed)):
        by_setting.setdefault(record.trial.setting, []).append(record)
    rows = [_row(study, trials) for trials in by_setting.values()]
    rows = _with_differences(rows)
    keys = list(study.space.parameters)
    untrained = f"untrained/{study.space.goal.metric.partition('/')[2]}"
    comparison = Comparison(
        *study.space.goal,
        names=dict(zip(keys, short_names(keys), strict=True)),
        rows=tuple(rows),
        condemned_as=condemned_as(records),
        untrained=mean_interval(record.metrics.get(untrained) for record in records).value,
        notes=(),
    )
    notes = (
        *_on_seeds(study, comparison),
        *_on_trials(records),
        *_on_durations(records, comparison.metric),
        *_on_changes(records),
        *_on_figures(comparison),
    )
    return replace(comparison, notes=notes)


def ranked(rows: Iterable[SettingRow], mode: Mode) -> tuple[SettingRow, ...]:
    """The rows that have a mean, the best first."""
    sign = -1 if mode == "max" else 1
    known = [(sign * row.mean.value, row) for row in rows if row.mean.value is not None]
    return tuple(row for _, row in sorted(known, key=lambda each: each[0]))


def _row(study: Study, trials: Sequence[TrialRecord]) -> SettingRow:
    metric, *others = (goal.metric for goal in study.space.goals)
    settings = trials[0].trial.settings
    values = {record.trial.seed: figure(record, metric) for record in trials}
    onsets = [r.verdict.onset_step for r in trials if r.verdict is not None and is_condemned(r)]
    known = [onset for onset in onsets if onset is not None]
    return SettingRow(
        setting=trials[0].trial.setting,
        label=describe(settings),
        settings=settings,
        is_baseline=settings == study.baseline,
        trials=tuple(record.trial.name for record in trials),
        values=values,
        mean=mean_interval(values.values()),
        difference=None,
        condemned=condemned_share(trials),
        verdicts=tally(trials),
        onset_step=float(median(known)) if known else None,
        others={name: mean_interval(figure(r, name) for r in trials) for name in others},
    )


def _with_differences(rows: Sequence[SettingRow]) -> list[SettingRow]:
    baseline = next((row for row in rows if row.is_baseline), None)
    if baseline is None:
        return list(rows)
    compared = [row for row in rows if row is not baseline]
    found = differences(compared, baseline)
    return [
        replace(row, difference=found[row.setting], is_baseline=row is baseline)
        if row is not baseline
        else row
        for row in rows
    ]


def differences(rows: Iterable[SettingRow], reference: SettingRow) -> dict[int, Difference]:
    """By setting, each row's paired difference to another; p-values corrected for all of them."""
    each = {row.setting: paired_difference(row.values, reference.values) for row in rows}
    # Differences that are all alike have no p, but were compared; of one seed nothing was.
    compared = sum(difference.n > 1 for difference in each.values())
    corrected = holm([difference.p for difference in each.values()], compared)
    return {
        setting: replace(difference, p_holm=p)
        for (setting, difference), p in zip(each.items(), corrected, strict=True)
    }


def _on_seeds(study: Study, comparison: Comparison) -> Iterator[str]:
    counts = [len(row.trials) for row in comparison.rows]
    if counts and min(counts) < PROOF_NEEDS_SEEDS:
        which = "All" if max(counts) < PROOF_NEEDS_SEEDS else "Some"
        yield (
            f"{which} settings have fewer than {PROOF_NEEDS_SEEDS} seeds: "
            "their numbers are what happened and prove nothing."
        )
    if study.command == "ablate" and comparison.baseline is None:
        yield "The baseline has not run: there is nothing to hold the settings against."


def _on_trials(records: Sequence[TrialRecord]) -> Iterator[str]:
    early = [record for record in records if record.state == "stopped" and not is_condemned(record)]
    if early:
        yield (
            f"{len(early)} of {len(records)} trials were stopped before their end without being "
            "condemned: their figures are of fewer steps and are in no mean."
        )
    lost = [record.trial.name for record in records if record.state in ("failed", "running")]
    if lost:
        yield (
            f"{len(lost)} of {len(records)} trials failed or did not finish "
            f"({', '.join(lost[:_MOST_NAMED])}{', …' if len(lost) > _MOST_NAMED else ''}): means "
            "and differences are of the seeds that are left."
        )


def _on_durations(records: Sequence[TrialRecord], metric: str) -> Iterator[str]:
    """Trials that are in the means although they trained for less than the others."""
    shorter = [
        record
        for record in records
        if is_condemned(record)
        and figure(record, metric) is not None
        and (record.state == "stopped" or record.step < record.total_steps)
    ]
    if shorter:
        one = len(shorter) == 1
        yield (
            f"Figures of {len(shorter)} {'trial is' if one else 'trials are'} of fewer steps than "
            f"planned: {'it was' if one else 'they were'} condemned and ended early; differences "
            f"to {'it' if one else 'them'} measure time as well as setting."
        )


def _on_changes(records: Sequence[TrialRecord]) -> Iterator[str]:
    changed = sum(bool(record.changes) for record in records)
    if changed:
        yield (
            "Settings are those that each trial began with: scheduler pbt exchanged weights and "
            f"settings of {changed} of {len(records)} trials on the way."
        )


def _on_figures(comparison: Comparison) -> Iterator[str]:
    """What would mislead whoever reads the metric alone."""
    healthy, metric = comparison.healthy, comparison.metric
    condemned = [row for row in comparison.rows if row.condemned.count]
    best = next(iter(ranked([*healthy[:1], *condemned], comparison.mode)), None)
    if healthy and best is not None and best is not healthy[0]:
        assert best.mean.value is not None
        yield (
            f"{best.label} has the best {metric_name(metric)} of all "
            f"({number(metric, best.mean.value)}{unit(metric)}) although it {comparison.failed}: "
            "this metric alone does not show it."
        )
    if comparison.untrained is not None:
        yield (
            f"Before training, {metric_name(metric)} is "
            f"{number(metric, comparison.untrained)}{unit(metric)}."
        )
