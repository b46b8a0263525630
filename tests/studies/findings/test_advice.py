"""Who gets which advice in a study."""

from dataclasses import replace

from poise.diagnostics.judge import VerdictKind
from poise.studies.findings.advice import Advice, collect_advice
from poise.studies.findings.comparison import compare
from poise.studies.records import TrialRecord
from tests.studies.samples import CENTER, UNIFORM, grid_study, seeded, trial_record

TEMPERATURE = "objective.teacher_temp"
BASELINE = {CENTER: 0.9, TEMPERATURE: 0.04}
SOFT = {**BASELINE, TEMPERATURE: 0.2}


def collected(records: list[TrialRecord]) -> tuple[Advice, ...]:
    comparison = compare(grid_study(design="one_at_a_time"), records)
    return collect_advice(records, comparison, {row.setting: row.label for row in comparison.rows})


def advised(record: TrialRecord, text: str) -> TrialRecord:
    assert record.verdict is not None
    return replace(record, verdict=replace(record.verdict, advice=text))


def test_an_advice_for_some_trials_of_a_setting_names_these_trials() -> None:
    failed = [advised(each, "Sharpen.") for each in seeded(1, [10.0, 11.0], UNIFORM, settings=SOFT)]
    undecided = advised(
        trial_record(1, 2, 10.0, VerdictKind.UNDECIDED, settings=SOFT), "Train for longer."
    )
    records = [*seeded(0, [20.0, 21.0, 22.0], settings=BASELINE), *failed, undecided]
    assert collected(records) == (
        Advice("Sharpen. The healthy baseline uses teacher_temp=0.04.", (), ("t02-s0", "t02-s1")),
        Advice("Train for longer.", (), ("t02-s2",)),
    )
    assert collected(records[:-1])[0].settings == ("teacher_temp=0.2",)


def test_values_of_a_baseline_that_failed_are_no_advice() -> None:
    failed = seeded(0, [10.0], UNIFORM, settings=BASELINE)
    records = [*failed, *seeded(1, [10.0], UNIFORM, settings=SOFT)]
    (advice,) = collected(records)
    assert advice == Advice("advice", ("the baseline", "teacher_temp=0.2"))
