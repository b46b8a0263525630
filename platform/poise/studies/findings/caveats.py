"""Writes notes about how far the comparison of settings can be trusted.

In: a study, its records and their comparison. Out: notes of one or a few sentences. Next:
``poise.studies.findings.findings``; the notes are below every table of settings.
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
"""Largest number of trials that one note names."""


def notes_on(
    study: Study, records: Sequence[TrialRecord], comparison: Comparison
) -> tuple[str, ...]:
    """Writes every note that applies."""
    return (
        *_on_baseline(study, comparison),
        *_on_seeds(comparison),
        *_on_choices(comparison),
        *_on_stopped(records),
        *_on_unended(records, comparison.standing.planned),
        *_on_missing(records, comparison.metric),
        *_on_durations(records, comparison.metric),
        *_on_changes(records),
        *_on_collapsed_best(comparison),
        *_before_training(comparison),
    )


def _on_baseline(study: Study, comparison: Comparison) -> Iterator[str]:
    """Gives the baseline's values if no label has them, or says that it has not run."""
    baseline = comparison.baseline
    if baseline is not None and not baseline.mark:
        yield f"The baseline has {describe(baseline.settings)}."
    if study.command == "ablate" and baseline is None:
        yield "The baseline has not run yet, so there are no differences to it."


def _on_seeds(comparison: Comparison) -> Iterator[str]:
    measured = [row.mean.n for row in comparison.rows]
    shared = [row.difference.n for row in comparison.rows if row.difference is not None]
    for counts, what in (
        (measured, "settings have values"),
        (shared, "differences to the baseline are"),
    ):
        if min(counts, default=PROOF_NEEDS_SEEDS) < PROOF_NEEDS_SEEDS:
            which = "All" if max(counts) < PROOF_NEEDS_SEEDS else "Some"
            yield (
                f"{which} {what} from fewer than {PROOF_NEEDS_SEEDS} seeds: treat these as "
                "anecdotes, not as evidence."
            )
            break


def _on_choices(comparison: Comparison) -> Iterator[str]:
    """Names trials that ran, or continued, because of their values."""
    if comparison.untested and comparison.baseline is not None:
        yield f"Differences have no p-value, because {comparison.untested}."
    survivors = sum(row.mean.n > 0 and row.cut_off > 0 for row in comparison.rows)
    if survivors:
        yield (
            f"In {survivors} of {len(comparison.rows)} settings the scheduler stopped some seeds "
            "and kept the better ones. Means use only the kept seeds, so they are too good."
        )


def _on_stopped(records: Sequence[TrialRecord]) -> Iterator[str]:
    early = sum(map(was_cut_off, records))
    if early:
        yield (
            f"{early} of {len(records)} trials were stopped early although nothing was wrong. "
            "Their values come from fewer steps, so no mean includes them. The counts of failures "
            "do not include them either, so these counts are too high and have no interval."
        )


def _on_unended(records: Sequence[TrialRecord], planned: int) -> Iterator[str]:
    """Names trials that have no value, or not yet."""
    parts: list[str] = []
    for state, one, many in (
        ("failed", "failed", "failed"),
        ("running", "is running", "are running"),
        ("interrupted", "was interrupted", "were interrupted"),
    ):
        trials = [record.trial.name for record in records if record.state == state]
        if trials:
            of = "" if parts else f" of {planned} trials"
            did = one if len(trials) == 1 else many
            parts.append(f"{len(trials)}{of} {did} ({_names(trials)})")
    if not parts:
        return
    is_running = any(record.state == "running" for record in records)
    rest = "Nothing can be compared yet." if is_running else "Nothing is left to compare."
    if any(map(is_complete, records)):
        rest = "Means and differences use the other trials."
    yield f"{' and '.join(parts)}. {rest}"


def _on_missing(records: Sequence[TrialRecord], metric: str) -> Iterator[str]:
    """Names trials that have a verdict but no value."""
    complete = [record for record in records if is_complete(record)]
    missing = [record.trial.name for record in complete if figure(record, metric) is None]
    if missing:
        one = len(missing) == 1
        yield (
            f"{len(missing)} of {len(complete)} trials that ended {'has' if one else 'have'} no "
            f"{metric_name(metric)} ({_names(missing)}), so no mean includes "
            f"{'it' if one else 'them'}."
        )


def _on_durations(records: Sequence[TrialRecord], metric: str) -> Iterator[str]:
    """Counts trials in a mean that trained for fewer steps than the others."""
    shorter = sum(
        is_condemned(record)
        and figure(record, metric) is not None
        and (record.state == "stopped" or record.step < record.total_steps)
        for record in records
    )
    if shorter:
        who = "1 failed trial" if shorter == 1 else f"{shorter} failed trials"
        yield (
            f"{who} ended early, with fewer steps than planned. Part of a difference to such a "
            "trial comes from the shorter training."
        )


def _on_changes(records: Sequence[TrialRecord]) -> Iterator[str]:
    changed = sum(bool(record.changes) for record in records)
    if changed:
        yield (
            f"Scheduler pbt exchanged weights and settings in {changed} of {len(records)} trials. "
            "Each trial is listed with the settings that it began with."
        )


def _on_collapsed_best(comparison: Comparison) -> Iterator[str]:
    """Names the setting with the best value if it failed.

    The metric alone would mislead in this case.
    """
    healthy, metric = comparison.healthy, comparison.metric
    condemned = [row for row in comparison.rows if row.condemned.count]
    best = next(iter(ranked([*healthy[:1], *condemned], comparison.mode)), None)
    if healthy and best is not None and best is not healthy[0]:
        yield (
            f"{best.called[0].upper()}{best.called[1:]} has the best {metric_name(metric)} of all, "
            f"{shown(best.mean.value, comparison.decimals)}{unit(metric)}, although it "
            f"{comparison.condemned_as}. Do not choose by this metric alone."
        )


def _before_training(comparison: Comparison) -> Iterator[str]:
    if comparison.before:
        ends = (min(comparison.before), max(comparison.before))
        figures = dict.fromkeys(shown(end, comparison.decimals) for end in ends)
        by = ", depending on the setting" if len(figures) > 1 else ""
        name = metric_name(comparison.metric)
        yield f"Before training, {name} is {' to '.join(figures)}{unit(comparison.metric)}{by}."


def _names(trials: Sequence[str]) -> str:
    more = ", …" if len(trials) > _MOST_NAMED else ""
    return f"{', '.join(trials[:_MOST_NAMED])}{more}"
