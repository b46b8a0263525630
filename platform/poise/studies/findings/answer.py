"""Writes the answer of a study: what causes collapse, and which setting is best.

In: a study, its records and the comparison of its settings. Out: two short paragraphs. Next:
``poise.studies.findings.findings``.
"""

from collections.abc import Iterator, Sequence

from poise.config.wording import everyone, listed
from poise.diagnostics.judge import VerdictKind
from poise.studies.findings.best import on_best
from poise.studies.findings.change_words import change_words
from poise.studies.findings.explanation import explain, kinds, verb
from poise.studies.findings.factor_words import failure
from poise.studies.findings.table import Comparison, SettingRow
from poise.studies.number_format import capitalized, percent
from poise.studies.outcomes import FAILURES, is_condemned, is_decided, was_cut_off
from poise.studies.records import TrialRecord
from poise.studies.study import Study

_ENDED_UNDECIDED = "ended undecided: neither clearly healthy nor clearly failed"

_MOST_CHANGES = 4
"""Largest number of changes to the baseline that get their own sentence."""

_MOST_HEALTHY = 2
"""Largest number of changes whose healthy trials get their own sentence."""

_MOST_NAMED = 3
"""Largest number of trials without a clear verdict that are named."""


def answer(
    study: Study, records: Sequence[TrialRecord], comparison: Comparison, front: Sequence[str]
) -> tuple[str, str]:
    """Writes two paragraphs: what explains the collapses, and which healthy setting is best.

    Args:
        study: study to describe.
        records: records of its trials, in any state.
        comparison: comparison of the settings of the study.
        front: names of the trials on the Pareto front of all metrics.
    """
    on_collapse = " ".join((*_on_collapse(study, records, comparison), *_not_judged(records)))
    if not comparison.standing.is_over and any(map(is_decided, records)):
        on_collapse = f"So far, {on_collapse[:1].lower()}{on_collapse[1:]}"
    return on_collapse, " ".join(on_best(comparison, front if len(study.space.goals) > 1 else None))


def _on_collapse(
    study: Study, records: Sequence[TrialRecord], comparison: Comparison
) -> tuple[str, ...]:
    judged = [record for record in records if is_decided(record)]
    failed = [record for record in judged if is_condemned(record)]
    trial = "trial" if len(judged) == len(records) else "judged trial"
    if not judged:
        return (_nothing_judged(records),)
    if not failed:
        return _all_healthy(len(judged), trial, comparison)
    if len(failed) == len(judged):
        every = f"{capitalized(everyone(len(failed), trial))} {verb(failed)}."
        told = (every, *kinds(study, judged, trial))
        varied = len({record.trial.setting for record in judged}) > 1
        no_value = "No value of the varied hyperparameters prevented the failures."
        return (*told, no_value) if varied else told
    if study.held_baseline is not None:
        return _by_change(study, comparison)
    return explain(study, judged, trial)


def _all_healthy(count: int, trial: str, comparison: Comparison) -> tuple[str, ...]:
    none = f"{capitalized(everyone(count, trial))} ended healthy."
    fewest = min((r.condemned for r in comparison.rows if r.condemned.n), key=lambda s: s.n)
    if fewest.high is None:
        return (none,)
    seeds = "1 seed" if fewest.n == 1 else f"{fewest.n} seeds"
    return (
        none,
        f"But {seeds} per setting cannot exclude a failure rate of up to {percent(fewest.high)} "
        "(95 % interval).",
    )


def _by_change(study: Study, comparison: Comparison) -> tuple[str, ...]:
    """Writes a sentence for each change to the baseline that led to failed trials."""
    judged = [row for row in comparison.rows if row.condemned.n]
    failed = [row for row in judged if row.condemned.count]
    healthy = [row for row in judged if not row.condemned.count]
    told = [_change(study, row) for row in failed[:_MOST_CHANGES]]
    if len(failed) > _MOST_CHANGES:
        told.append(f"Training also failed with {len(failed) - _MOST_CHANGES} more changes.")
    return *told, *_who_held(study, healthy)


def _change(study: Study, row: SettingRow) -> str:
    count, n = row.condemned.count, row.condemned.n
    did = listed((failure(each) for each in row.verdicts if each in FAILURES), "or")
    baseline = "with the baseline itself" if row.is_baseline else ""
    change = capitalized(baseline or change_words(study, row.settings))
    return f"{change}, {count} of {n} {_noun([row])}s {did}."


def _noun(rows: Sequence[SettingRow]) -> str:
    """Returns a noun for the counted trials: ``judged trial`` if some trials are not counted."""
    return "trial" if all(row.condemned.n == len(row.trials) for row in rows) else "judged trial"


def _who_held(study: Study, healthy: Sequence[SettingRow]) -> Iterator[str]:
    """Writes which settings ended healthy: the baseline first, then the changes by name."""
    baseline = [row for row in healthy if row.is_baseline]
    changes = [row for row in healthy if not row.is_baseline]
    groups = [([row], f" {change_words(study, row.settings)}") for row in changes]
    if len(changes) > _MOST_HEALTHY:
        groups = [(changes, f" of the {len(changes)} other changes")]
    if baseline:
        groups.insert(0, (baseline, " of the baseline"))
    did = "ended healthy"
    for rows, of in groups:
        trials = everyone(sum(row.condemned.n for row in rows), _noun(rows))
        yield f"{capitalized(trials)}{of} {did}."
        did = "also ended healthy"


def _nothing_judged(records: Sequence[TrialRecord]) -> str:
    if not records:
        return "No trial has begun."
    who = capitalized(everyone(len(records), "trial"))
    if all(record.state == "failed" for record in records):
        return f"{who} ended with an error, so there is no verdict."
    if all(map(_ended_undecided, records)):
        return f"{who} {_ENDED_UNDECIDED}."
    if all(record.is_open for record in records):
        return "No trial has ended yet. The final verdict on a trial is known only at its end."
    return "No trial has a final verdict."


def _ended_undecided(record: TrialRecord) -> bool:
    verdict = record.verdict
    is_undecided = verdict is not None and verdict.kind is VerdictKind.UNDECIDED
    return is_undecided and record.state == "finished"


def _not_judged(records: Sequence[TrialRecord]) -> tuple[str, ...]:
    """Writes how many trials say nothing about collapse, and why.

    It returns nothing if no trial has a clear verdict.
    """
    open_ = [record.trial.name for record in records if not is_decided(record)]
    total = len(open_)
    if total in (0, len(records)):
        return ()
    reasons = _reasons(records)
    undecided = total - sum(count for count, _, _ in reasons)
    trials = "1 trial" if total == 1 else f"{total} trials"
    if total <= _MOST_NAMED:
        trials += f" ({listed(open_)})"
    if undecided == total:
        counted = "The counts leave it out." if total == 1 else "The counts leave them out."
        return (f"{trials} {_ENDED_UNDECIDED}.", counted)
    reasons = (*reasons, (undecided, "is undecided", "are undecided"))
    told = [(count, one if count == 1 else many) for count, one, many in reasons if count]
    no_verdict = f"{trials} {'has' if total == 1 else 'have'} no final verdict"
    if len(told) == 1:
        return (f"{no_verdict}, because {'it' if total == 1 else 'they'} {told[0][1]}.",)
    return (f"{no_verdict}: {listed(f'{count} {why}' for count, why in told)}.",)


def _reasons(records: Sequence[TrialRecord]) -> tuple[tuple[int, str, str], ...]:
    """Counts the trials that have not ended by themselves, by reason.

    Each count has a phrase with the reason, for one trial and for several trials.
    """
    ended, cut_off = "ended with an error", "stopped early by the scheduler"
    return (
        (_count(records, "failed"), ended, ended),
        (sum(map(was_cut_off, records)), f"was {cut_off}", f"were {cut_off}"),
        (_count(records, "running"), "is still running", "are still running"),
        (_count(records, "interrupted"), "was interrupted", "were interrupted"),
    )


def _count(records: Sequence[TrialRecord], state: str) -> int:
    return sum(record.state == state for record in records)
