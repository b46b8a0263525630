"""What the table's numbers do not prove, in sentences.

In: a study, its records and its table. Out: notes. Next: under the table, wherever it is shown.
"""

from collections.abc import Iterator, Sequence

from poise.config.wording import metric_name, unit
from poise.studies.findings.table import PROOF_NEEDS_SEEDS, Comparison, ranked
from poise.studies.labels import describe
from poise.studies.number_format import shown
from poise.studies.outcomes import figure, is_complete, is_condemned, was_cut_off
from poise.studies.records import TrialRecord
from poise.studies.study import Study

_MOST_NAMED = 5
"""Trials in one sentence."""


def notes_on(
    study: Study, records: Sequence[TrialRecord], comparison: Comparison
) -> tuple[str, ...]:
    """All that apply."""
    return (
        *_on_baseline(comparison),
        *_on_seeds(study, comparison),
        *_on_choices(comparison),
        *_on_trials(records, comparison.standing.planned),
        *_on_missing(records, comparison.metric),
        *_on_durations(records, comparison.metric),
        *_on_changes(records),
        *_on_figures(comparison),
    )


def _on_baseline(comparison: Comparison) -> Iterator[str]:
    """What it is, where no label of a setting tells."""
    baseline = comparison.baseline
    if baseline is not None and not baseline.mark:
        yield f"The baseline has {describe(baseline.settings)}."


def _on_seeds(study: Study, comparison: Comparison) -> Iterator[str]:
    measured = [row.mean.n for row in comparison.rows]
    shared = [row.difference.n for row in comparison.rows if row.difference is not None]
    for counts, what in (
        (measured, "settings have a figure of"),
        (shared, "differences to the baseline are of"),
    ):
        if min(counts, default=PROOF_NEEDS_SEEDS) < PROOF_NEEDS_SEEDS:
            which = "All" if max(counts) < PROOF_NEEDS_SEEDS else "Some"
            yield (
                f"{which} {what} fewer than {PROOF_NEEDS_SEEDS} seeds: these are what happened and "
                "prove nothing."
            )
            break
    if study.command == "ablate" and comparison.baseline is None:
        yield "The baseline has not run: there is nothing to hold the settings against."


def _on_choices(comparison: Comparison) -> Iterator[str]:
    """Trials that are there, or are left, because of their figures."""
    if comparison.untested and comparison.baseline is not None:
        yield f"Differences have no p-value: {comparison.untested}."
    survivors = sum(row.mean.n > 0 and row.cut_off > 0 for row in comparison.rows)
    if survivors:
        yield (
            f"In {survivors} of {len(comparison.rows)} settings the mean is the mean of the "
            "survivors, the seeds that the scheduler kept because they were better: all seeds "
            "together would do worse."
        )


def _on_trials(records: Sequence[TrialRecord], planned: int) -> Iterator[str]:
    early = sum(map(was_cut_off, records))
    if early:
        yield (
            f"{early} of {len(records)} trials were stopped before their end without being "
            "condemned: their figures are of fewer steps and are in no mean, and whether they "
            "would have stayed healthy is open. Nor are they in the counts of what failed, which "
            "thereby come out too high to estimate a chance and have no interval."
        )
    yield from _on_unended(records, planned)


def _on_unended(records: Sequence[TrialRecord], planned: int) -> Iterator[str]:
    """Trials that have no figure, or none yet."""
    told: list[str] = []
    for state, one, many in (
        ("failed", "failed", "failed"),
        ("running", "is running", "are running"),
        ("interrupted", "was interrupted", "were interrupted"),
    ):
        trials = [record.trial.name for record in records if record.state == state]
        if trials:
            of = "" if told else f" of {planned} trials"
            told.append(f"{len(trials)}{of} {one if len(trials) == 1 else many} ({_named(trials)})")
    if told:
        is_running = any(record.state == "running" for record in records)
        rest = (
            "means and differences are of the other seeds"
            if any(map(is_complete, records))
            else f"none {'can be compared yet' if is_running else 'is left to compare'}"
        )
        yield f"{' and '.join(told)}: {rest}."


def _on_missing(records: Sequence[TrialRecord], metric: str) -> Iterator[str]:
    """Trials that count among the verdicts and in no mean."""
    complete = [record for record in records if is_complete(record)]
    missing = [record.trial.name for record in complete if figure(record, metric) is None]
    if missing:
        yield (
            f"{len(missing)} of {len(complete)} trials that ended have no {metric_name(metric)} "
            f"({_named(missing)}): they are in no mean."
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
        yield (
            f"{best.label} has the best {metric_name(metric)} of all "
            f"({shown(best.mean.value, comparison.decimals)}{unit(metric)}) although it "
            f"{comparison.failed}: this metric alone does not show it."
        )
    if comparison.untrained:
        ends = (min(comparison.untrained), max(comparison.untrained))
        figures = dict.fromkeys(shown(end, comparison.decimals) for end in ends)
        of = ", by setting" if len(figures) > 1 else ""
        yield f"Before training, {metric_name(metric)} is {' to '.join(figures)}{unit(metric)}{of}."


def _named(trials: Sequence[str]) -> str:
    more = ", …" if len(trials) > _MOST_NAMED else ""
    return f"{', '.join(trials[:_MOST_NAMED])}{more}"
