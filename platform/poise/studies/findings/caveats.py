"""Writes notes about how far a user can trust the comparison of settings.

In: a study, its records and the comparison of its settings. Out: notes of one or a few sentences.
Next: ``poise.studies.findings.findings``. Reports print the notes below each table of settings.
"""

from collections.abc import Iterator, Sequence

from poise.config.wording import listed, metric_phrase, unit
from poise.studies.findings.table import FEW_SEEDS, PROOF_NEEDS_SEEDS, Comparison, ranked
from poise.studies.labels import describe
from poise.studies.number_format import shown
from poise.studies.outcomes import condemned_as, figure, is_complete, is_condemned, was_cut_off
from poise.studies.records import TrialRecord
from poise.studies.study import Study

_MOST_NAMED = 5
"""Largest number of trials that a note names."""


def notes_on(
    study: Study, records: Sequence[TrialRecord], comparison: Comparison
) -> tuple[str, ...]:
    """Writes all notes that apply to the study."""
    return (
        *_on_baseline(study, comparison),
        *_on_seeds(comparison),
        *_on_choices(comparison),
        *_on_stopped(records),
        *_on_unended(records, comparison.standing.planned),
        *_on_missing(records, comparison.metric),
        *_on_durations(study, records, comparison),
        *_on_changes(records),
        *_on_collapsed_best(comparison),
        *_before_training(comparison),
    )


def _on_baseline(study: Study, comparison: Comparison) -> Iterator[str]:
    """Writes the baseline's values if no label shows them.

    If an ablation has no trial of the baseline, it says so.
    """
    baseline = comparison.baseline
    if baseline is not None and not baseline.mark:
        yield f"The baseline uses {describe(baseline.settings)}."
    if study.command == "ablate" and baseline is None:
        yield "The baseline has not run yet, so the table has no differences from the baseline."


def _on_seeds(comparison: Comparison) -> Iterator[str]:
    if comparison.has_few_seeds:
        if comparison.rows and not comparison.healthy:  # else the answer already says this
            yield FEW_SEEDS
        return
    measured = [row.mean.n for row in comparison.rows]
    shared = [row.difference.n for row in comparison.rows if row.difference is not None]
    for counts, what in (
        (measured, "settings have results"),
        (shared, "differences from the baseline come"),
    ):
        if min(counts, default=PROOF_NEEDS_SEEDS) < PROOF_NEEDS_SEEDS:
            which = "All" if max(counts) < PROOF_NEEDS_SEEDS else "Some"
            yield (
                f"{which} {what} from fewer than {PROOF_NEEDS_SEEDS} seeds. Treat these results "
                "as anecdotes, not as evidence."
            )
            break


def _on_choices(comparison: Comparison) -> Iterator[str]:
    """Writes notes about trials that a scheduler or searcher stopped or chose by their values."""
    if comparison.untested and comparison.baseline is not None:
        yield f"The differences have no p-value, because {comparison.untested}."
    survivors = sum(row.mean.n > 0 and row.cut_off > 0 for row in comparison.rows)
    if survivors:
        yield (
            f"In {survivors} of {len(comparison.rows)} settings, the scheduler stopped the worse "
            "seeds. The means of these settings use only the other seeds, so these means are too "
            "good."
        )


def _on_stopped(records: Sequence[TrialRecord]) -> Iterator[str]:
    early = sum(map(was_cut_off, records))
    if early:
        yield (
            f"The scheduler stopped {early} of {len(records)} trials early, although these trials "
            "had not failed. Their values come from fewer steps, so the means leave these trials "
            "out. The counts of failures leave them out too, so the share of failures is too high "
            "and has no interval."
        )


def _on_unended(records: Sequence[TrialRecord], planned: int) -> Iterator[str]:
    """Names the trials without a value that ended with an error or have not ended."""
    parts: list[str] = []
    for state, one, many in (
        ("failed", "ended with an error", "ended with an error"),
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
        rest = "The means and differences use the other trials."
    yield f"{' and '.join(parts)}. {rest}"


def _on_missing(records: Sequence[TrialRecord], metric: str) -> Iterator[str]:
    """Names the trials that have a verdict but no value of the metric."""
    complete = [record for record in records if is_complete(record)]
    missing = [record.trial.name for record in complete if figure(record, metric) is None]
    if missing:
        one = len(missing) == 1
        yield (
            f"{len(missing)} of {len(complete)} trials that ended {'has' if one else 'have'} no "
            f"value of {metric_phrase(metric)} ({_names(missing)}). The means leave "
            f"{'this trial' if one else 'these trials'} out."
        )


def _on_durations(
    study: Study, records: Sequence[TrialRecord], comparison: Comparison
) -> Iterator[str]:
    """Counts the trials that trained for fewer steps than planned but are part of a mean."""
    shorter = [
        record
        for record in records
        if is_condemned(record)
        and figure(record, comparison.metric) is not None
        and (record.state == "stopped" or record.step < record.total_steps)
    ]
    if not shorter:
        return
    one = len(shorter) == 1
    trials, these, their = ("1 trial", "This trial", "its") if one else (
        f"{len(shorter)} trials", "These trials", "their"
    )  # fmt: skip
    by, did = {record.stopped_by for record in shorter}, condemned_as(shorter)
    ended = (
        f"{listed(map(str, by))} stopped {trials} before {their} last planned step, because "
        f"{'it' if one else 'they'} {did}."
        if by.isdisjoint((None, study.space.scheduler.name))
        else f"{trials} that {did} ended before {their} last planned step."
    )
    other = "the other settings" if comparison.baseline is None else "the baseline"
    yield (
        f"{ended} {these} trained for fewer steps, which can explain a part of {their} difference "
        f"from {other}."
    )


def _on_changes(records: Sequence[TrialRecord]) -> Iterator[str]:
    changed = sum(bool(record.changes) for record in records)
    if changed:
        yield (
            "The scheduler pbt changed weights and hyperparameters of "
            f"{changed} of {len(records)} trials during training. The tables show the first values "
            "of each trial."
        )


def _on_collapsed_best(comparison: Comparison) -> Iterator[str]:
    """Names the setting with the best value if some of its trials failed.

    A user who looks only at the metric would choose this setting.
    """
    healthy, metric = comparison.healthy, comparison.metric
    condemned = [row for row in comparison.rows if row.condemned.count]
    best = next(iter(ranked([*healthy[:1], *condemned], comparison.mode)), None)
    if healthy and best is not None and best is not healthy[0]:
        yield (
            f"{best.called[0].upper()}{best.called[1:]} has the best {metric_phrase(metric)} of "
            f"all settings ({shown(best.mean.value, comparison.decimals)}{unit(metric)}), although "
            f"it {comparison.condemned_as}. Do not choose a setting by this metric alone."
        )


def _before_training(comparison: Comparison) -> Iterator[str]:
    if comparison.before:
        ends = (min(comparison.before), max(comparison.before))
        figures = dict.fromkeys(shown(end, comparison.decimals) for end in ends)
        by = ", depending on the setting" if len(figures) > 1 else ""
        name = metric_phrase(comparison.metric)
        yield f"Before training, {name} was {' to '.join(figures)}{unit(comparison.metric)}{by}."


def _names(trials: Sequence[str]) -> str:
    more = ", …" if len(trials) > _MOST_NAMED else ""
    return f"{', '.join(trials[:_MOST_NAMED])}{more}"
