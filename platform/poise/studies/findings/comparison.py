"""Compares a study's settings.

In: the records of a study. Out: a ``Comparison``. Next: the table on the terminal, and
``poise.studies.findings.findings``.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from poise.config.metrics import before_training
from poise.config.wording import named
from poise.studies.analysis.p_values import Difference, holm, paired_difference
from poise.studies.findings.change_words import change_meaning
from poise.studies.findings.table import Comparison, SettingRow
from poise.studies.labels import setting_label
from poise.studies.outcomes import (
    condemned_as,
    condemned_share,
    figure,
    is_condemned,
    mean_of,
    tally,
    was_cut_off,
)
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.study_progress import standing


def compare(study: Study, records: Sequence[TrialRecord], is_running: bool = False) -> Comparison:
    """Compares the settings of a study by their results over seeds.

    If the study has a baseline, every other setting is also compared with it.

    Args:
        study: study to compare.
        records: records of its trials, in any state.
        is_running: whether a process is working on the study.
    """
    by_setting: dict[int, list[TrialRecord]] = {}
    for record in sorted(records, key=lambda record: (record.trial.setting, record.trial.seed)):
        by_setting.setdefault(record.trial.setting, []).append(record)
    untested = why_untested(study)
    rows = [_row(study, trials) for trials in by_setting.values()]
    differences, num_tests = _differences(rows, not untested)
    return Comparison(
        *study.space.goal,
        names=named(study.space.parameters),
        rows=tuple(replace(row, difference=differences.get(row.setting)) for row in rows),
        standing=standing(study, records, is_running),
        condemned_as=condemned_as(records),
        untested=untested,
        num_tests=num_tests,
    )


def why_untested(study: Study) -> str:
    """Returns the reason why differences to the baseline have no p-value, or an empty text.

    The p-value is not valid if results of the study decided which trials ran.
    """
    scheduler, searcher = study.space.scheduler, study.space.searcher
    if scheduler.changes_settings:
        return f"the scheduler {scheduler.name} copied trials with better values"
    if scheduler.stops_trials:
        return f"the scheduler {scheduler.name} used these values to stop trials"
    if study.decides_as_it_goes:
        return f"the searcher {searcher.name} used these values to choose settings"
    return ""


def _row(study: Study, trials: Sequence[TrialRecord]) -> SettingRow:
    metric, *others = (goal.metric for goal in study.space.goals)
    settings = trials[0].trial.settings
    values = {record.trial.seed: figure(record, metric) for record in trials}
    found = {record.trial.seed: before_training(record.metrics, metric) for record in trials}
    before = {seed: each and each[1] for seed, each in found.items()}
    onsets = [r.verdict.onset_step for r in trials if r.verdict is not None and is_condemned(r)]
    known = [onset for onset in onsets if onset is not None]
    return SettingRow(
        setting=trials[0].trial.setting,
        label=setting_label(study, settings),
        meaning=change_meaning(study, settings),
        settings=settings,
        is_baseline=settings == study.baseline,
        trials=tuple(record.trial.name for record in trials),
        cut_off=sum(map(was_cut_off, trials)),
        unended=sum(record.is_open for record in trials),
        values=values,
        mean=mean_of(metric, values.values()),
        before=mean_of(metric, before.values()),
        began=next((each[0] for each in found.values() if each), "untrained"),
        gain=paired_difference(values, before),
        difference=None,
        condemned=condemned_share(trials),
        verdicts=tally(trials),
        onset_step=float(median(known)) if known else None,
        others={name: mean_of(name, (figure(r, name) for r in trials)) for name in others},
    )


def _differences(rows: Sequence[SettingRow], tested: bool) -> tuple[dict[int, Difference], int]:
    """Computes the paired difference of each setting to the baseline, if the baseline has run.

    Args:
        rows: all settings.
        tested: whether the differences get p-values. They are corrected for all comparisons.

    Returns:
        The difference by the setting's number, and the number of comparisons.
    """
    baseline = next((row for row in rows if row.is_baseline), None)
    if baseline is None:
        return {}, 0
    # A searcher may suggest the baseline's settings twice. Such rows are not compared with
    # the baseline.
    settings = [row for row in rows if not row.is_baseline]
    each = [paired_difference(row.values, baseline.values) for row in settings]
    # A constant difference has no p-value but counts as a comparison. A single seed does not count.
    num_tests = sum(difference.n > 1 for difference in each) if tested else 0
    if tested:
        corrected = holm([difference.p for difference in each], num_tests)
        each = [replace(d, p_holm=p) for d, p in zip(each, corrected, strict=True)]
    else:
        each = [replace(difference, p=None) for difference in each]
    found = {row.setting: found for row, found in zip(settings, each, strict=True)}
    return found, num_tests
