"""Writes the answer of a study: what decided about collapse, and which setting was best.

In: a study, its records and their comparison. Out: two short paragraphs. Next:
``poise.studies.findings.findings``.
"""

from collections.abc import Sequence

from poise.config.wording import listed
from poise.studies.findings.best import on_best
from poise.studies.findings.explanation import change_words, explain, kinds, verb
from poise.studies.findings.factor_words import failure
from poise.studies.findings.table import Comparison, SettingRow
from poise.studies.number_format import percent
from poise.studies.outcomes import FAILURES, is_condemned, is_decided, was_cut_off
from poise.studies.records import TrialRecord
from poise.studies.study import Study

_MOST_CHANGES = 4
"""Largest number of changes to the baseline that each get a sentence."""


def answer(
    study: Study, records: Sequence[TrialRecord], comparison: Comparison, front: Sequence[str]
) -> tuple[str, str]:
    """Writes two paragraphs: what explains the collapses, and which healthy setting is best.

    Args:
        study: study to describe.
        records: records of its trials, in any state.
        comparison: comparison of its settings.
        front: trials that no other trial dominates in all metrics.
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
        every = f"Every {trial} {verb(failed)}: {len(failed)} of {len(judged)}."
        told = (every, *kinds(study, failed))
        varied = len({record.trial.setting for record in judged}) > 1
        return (*told, "No setting that the study varied prevented it.") if varied else told
    if study.held_baseline is not None:
        return _by_change(study, comparison)
    return explain(study, judged, trial)


def _all_healthy(count: int, trial: str, comparison: Comparison) -> tuple[str, ...]:
    none = f"No {trial} collapsed or failed to learn: 0 of {count}."
    fewest = min((r.condemned for r in comparison.rows if r.condemned.n), key=lambda s: s.n)
    if fewest.high is None:
        return (none,)
    seeds = "1 healthy seed" if fewest.n == 1 else f"{fewest.n} healthy seeds"
    rate = f"up to {percent(fewest.high)} of runs"
    return (none, f"With {seeds}, a setting may still fail to learn in {rate}.")


def _by_change(study: Study, comparison: Comparison) -> tuple[str, ...]:
    """Writes a sentence for each change to the baseline that made training fail."""
    judged = [row for row in comparison.rows if row.condemned.n]
    failed = [row for row in judged if row.condemned.count]
    healthy = [row for row in judged if not row.condemned.count]
    told = [_change(study, row) for row in failed[:_MOST_CHANGES]]
    if len(failed) > _MOST_CHANGES:
        told.append(f"The same holds for {len(failed) - _MOST_CHANGES} more changes.")
    if healthy:
        num = sum(row.condemned.n for row in healthy)
        told.append(f"{_who_held(healthy)} stayed healthy: {num} of {num} trials.")
    return tuple(told)


def _change(study: Study, row: SettingRow) -> str:
    count, n = row.condemned.count, row.condemned.n
    did = listed((failure(each) for each in row.verdicts if each in FAILURES), "or")
    if row.is_baseline:
        return f"The baseline itself {did}: {count} of {n} trials."
    words = change_words(study, row.settings)
    return f"{words[:1].upper()}{words[1:]}, training {did}: {count} of {n} trials."


def _who_held(healthy: Sequence[SettingRow]) -> str:
    changes = sum(not row.is_baseline for row in healthy)
    others = f"{changes} other {'change' if changes == 1 else 'changes'}"
    if changes == len(healthy):
        return f"The {others}" if changes > 1 else "The other change"
    return "The baseline" if not changes else f"The baseline and {others}"


def _nothing_judged(records: Sequence[TrialRecord]) -> str:
    if not records:
        return "No trial has begun."
    outcomes = {record.outcome for record in records}
    who = "The only trial" if len(records) == 1 else f"All {len(records)} trials"
    if outcomes == {"failed"}:
        return f"{who} ended with an error before a verdict."
    if outcomes == {"undecided"} and not any(record.is_open for record in records):
        return f"{who} ended undecided: neither clearly healthy nor clearly failed."
    if all(record.is_open for record in records):
        return "No trial has ended, and a trial is judged at its end."
    return "No trial has a final verdict."


def _not_judged(records: Sequence[TrialRecord]) -> tuple[str, ...]:
    """Says how many trials give no information about collapse, and why.

    It is empty if no trial is judged.
    """
    if not any(map(is_decided, records)):
        return ()
    reasons = {
        "ended with an error": sum(record.state == "failed" for record in records),
        "stopped early": sum(map(was_cut_off, records)),
        "still running": sum(record.state == "running" for record in records),
        "interrupted": sum(record.state == "interrupted" for record in records),
    }
    rest = len(records) - sum(map(is_decided, records)) - sum(reasons.values())
    told = [
        f"{count} {reason}" for reason, count in (*reasons.items(), ("undecided", rest)) if count
    ]
    return (f"Not judged: {listed(told)}.",) if told else ()
