"""Writes the answer of a study: what causes collapse, and which setting is best.

In: a study, its records and the comparison of its settings. Out: two short paragraphs. Next:
``poise.studies.findings.findings``.
"""

from collections.abc import Sequence

from poise.config.wording import everyone, listed
from poise.studies.findings.best import on_best
from poise.studies.findings.explanation import change_words, explain, kinds, verb
from poise.studies.findings.factor_words import failure
from poise.studies.findings.table import Comparison, SettingRow
from poise.studies.number_format import capitalized, percent
from poise.studies.outcomes import FAILURES, is_condemned, is_decided, was_cut_off
from poise.studies.records import TrialRecord
from poise.studies.study import Study

_ENDED_UNDECIDED = "ended undecided: neither clearly healthy nor clearly failed"

_MOST_CHANGES = 4
"""Largest number of changes to the baseline that get their own sentence."""


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
    none = f"{capitalized(everyone(count, trial))} stayed healthy."
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
    if healthy:
        trials = everyone(sum(row.condemned.n for row in healthy), "trial")
        told.append(f"{capitalized(trials)} of {_who_held(healthy)} stayed healthy.")
    return tuple(told)


def _change(study: Study, row: SettingRow) -> str:
    count, n = row.condemned.count, row.condemned.n
    did = listed((failure(each) for each in row.verdicts if each in FAILURES), "or")
    if row.is_baseline:
        return f"With the baseline itself, {count} of {n} trials {did}."
    return f"{capitalized(change_words(study, row.settings))}, {count} of {n} trials {did}."


def _who_held(healthy: Sequence[SettingRow]) -> str:
    changes = sum(not row.is_baseline for row in healthy)
    others = "the other change" if changes == 1 else f"the {changes} other changes"
    if changes == len(healthy):
        return others
    return f"the baseline and of {others}" if changes else "the baseline"


def _nothing_judged(records: Sequence[TrialRecord]) -> str:
    if not records:
        return "No trial has begun."
    outcomes = {record.outcome for record in records}
    who = capitalized(everyone(len(records), "trial"))
    if outcomes == {"failed"}:
        return f"{who} ended with an error, so there is no verdict."
    if outcomes == {"undecided"} and not any(record.is_open for record in records):
        return f"{who} {_ENDED_UNDECIDED}."
    if all(record.is_open for record in records):
        return "No trial has ended yet. The final verdict on a trial is known only at its end."
    return "No trial has a final verdict."


def _not_judged(records: Sequence[TrialRecord]) -> tuple[str, ...]:
    """Writes how many trials say nothing about collapse, and why.

    It returns nothing if no trial has a clear verdict.
    """
    total = len(records) - sum(map(is_decided, records))
    if total in (0, len(records)):
        return ()
    reasons = _reasons(records)
    undecided = total - sum(count for count, _, _ in reasons)
    trials = "1 trial" if total == 1 else f"{total} trials"
    if undecided == total:
        return (f"{trials} {_ENDED_UNDECIDED}.",)
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
