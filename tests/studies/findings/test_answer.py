"""The answer: what decided whether training collapsed, and which setting did best."""

from dataclasses import replace
from typing import Any

from poise.diagnostics.judge import VerdictKind
from poise.studies.findings.comparison import compare
from poise.studies.records import Change
from tests.studies.builders import TEMPERATURE, make_space, make_study
from tests.studies.samples import (
    CENTER,
    HEALTHY,
    METRIC,
    SINGLE,
    UNIFORM,
    answered,
    grid_records,
    grid_study,
    seeded,
    swept,
    trial_record,
)

NO_BASELINE = make_study(make_space({TEMPERATURE: {"uniform": [0.1, 0.9]}}))
MOMENTUM, REGISTERS = "objective.teacher_momentum", "backbone.num_registers"
FOUR = {
    CENTER: [0.9, 1.0],
    TEMPERATURE: (0.02, 0.09),
    MOMENTUM: [0.99, 0.996],
    REGISTERS: [0, 2, 4],
}


def test_the_setting_that_explains_the_collapses_comes_first() -> None:
    collapse, best = answered(*swept(FOUR, lambda s: s[CENTER] == 1, 24))
    assert collapse == (
        "All 16 trials without centering (center_momentum = 1) collapsed to a single prototype. "
        "All 8 trials with centering ended healthy."
    )
    assert best.startswith("The best setting is t") and "=" not in best, (
        "its values are in the table"
    )
    assert best.endswith("Treat the results as anecdotes, not as evidence.")


def test_a_threshold_has_few_digits_and_stays_true_on_both_sides() -> None:
    collapse, _ = answered(*swept({TEMPERATURE: (0.02, 0.09)}, lambda s: s[TEMPERATURE] > 0.06, 30))
    assert "trials with teacher_temp ≥ 0.06" in collapse and "teacher_temp ≤ 0.05" in collapse


def test_both_parts_are_named_where_it_takes_two() -> None:
    collapse, best = answered(grid_study(), grid_records())
    assert collapse == (
        "All 9 trials without centering (center_momentum = 1) or without sharpening "
        "(teacher_temp = 0.2) collapsed. All 3 trials with centering and sharpening ended "
        "healthy. All 6 trials without sharpening (teacher_temp = 0.2) collapsed to a uniform "
        "teacher. All 3 other failed trials collapsed to a single prototype."
    )
    assert best == (
        "The best setting is t01 (center_momentum=0.9, teacher_temp=0.04), the baseline. Its k-NN "
        "accuracy is 28.0 % (mean over 3 seeds, 95 % interval 25.5 to 30.5). No other setting "
        "ended healthy."
    )


def test_a_group_with_a_healthy_trial_is_told_by_its_failed_trials_alone() -> None:
    records = grid_records()
    place = next(
        n
        for n, record in enumerate(records)
        if record.trial.settings == {CENTER: 0.9, TEMPERATURE: 0.2}
    )
    verdict = records[place].verdict
    assert verdict is not None
    records[place] = replace(records[place], verdict=replace(verdict, kind=HEALTHY))
    collapse, _ = answered(grid_study(), records)
    assert (
        "All 5 failed trials without sharpening (teacher_temp = 0.2) collapsed to a uniform "
        "teacher. All 3 other failed trials collapsed to a single prototype." in collapse
    )


def test_where_every_trial_failed_no_failed_trials_are_told_apart() -> None:
    records = [
        replace(record, verdict=replace(record.verdict, kind=kind))
        for record in grid_records()
        if record.verdict is not None
        for kind in [UNIFORM if record.trial.settings[TEMPERATURE] == 0.2 else SINGLE]
    ]
    collapse, _ = answered(grid_study(), records)
    assert collapse == (
        "All 12 trials collapsed. All 6 trials without sharpening (teacher_temp = 0.2) collapsed "
        "to a uniform teacher. All 6 other trials collapsed to a single prototype. No value of "
        "the varied hyperparameters prevented the failures."
    )


def test_exceptions_to_the_rule_are_counted() -> None:
    study, records = swept(FOUR, lambda s: s[CENTER] == 1, 24)
    place = next(n for n, r in enumerate(records) if r.trial.settings[CENTER] == 1)
    verdict = records[place].verdict
    assert verdict is not None
    records[place] = replace(records[place], verdict=replace(verdict, kind=HEALTHY))
    collapse, _ = answered(study, records)
    assert collapse == (
        "center_momentum explains best which trials failed. Without centering "
        "(center_momentum = 1), 15 of 16 trials collapsed to a single prototype. With centering, "
        "0 of 8 trials collapsed to a single prototype. 1 trial does not fit this pattern."
    )


def test_few_settings_are_called_a_hint_and_a_setting_that_changed_along_is_named() -> None:
    records = [
        trial_record(n, 0, 20.0, SINGLE if n % 2 else HEALTHY,
                     {CENTER: [0.9, 1.0][n % 2], REGISTERS: [0, 4][n % 2], TEMPERATURE: n})
        for n in range(4)
    ]  # fmt: skip
    space = make_space({CENTER: {"choice": [0.9, 1.0]}, REGISTERS: {"choice": [0, 4]},
                        TEMPERATURE: {"uniform": [0, 9]}})  # fmt: skip
    collapse, _ = answered(replace(make_study(), space=space), records)
    assert (
        "The same trials also ran with registers (num_registers = 4). So this study cannot show "
        in (collapse)
    )
    assert "The study compared only 4 settings, so this pattern may be a coincidence." in collapse
    assert "of such studies would still show an equally clear pattern." in collapse


def test_collapses_that_nothing_explains_are_only_counted() -> None:
    study, records = swept(
        {TEMPERATURE: (0.02, 0.09)}, lambda s: str(s[TEMPERATURE])[7] in "13579", 30
    )
    collapse, _ = answered(study, records)
    assert "of 30 trials collapsed to a single prototype. No simple rule for one" in collapse


def test_where_only_seeds_differ_that_is_said() -> None:
    records = [*seeded(0, [20.0, 21.0]), trial_record(0, 2, 10.0, SINGLE)]
    collapse, _ = answered(NO_BASELINE, records)
    assert collapse == (
        "1 of 3 trials collapsed to a single prototype. The failed and the healthy trials differ "
        "only in their seeds."
    )


def test_settings_that_were_exchanged_explain_nothing() -> None:
    study, records = swept(FOUR, lambda s: s[CENTER] == 1, 12, scheduler={"name": "pbt"})
    change = Change(40, "t01-s0", "/there", {CENTER: 0.9})
    collapse, _ = answered(study, [replace(records[0], changes=(change,)), *records[1:]])
    assert (
        "Trials exchanged hyperparameters during training, so no single hyperparameter explains "
        "the failures." in collapse
    )


def test_a_study_of_one_change_at_a_time_has_a_sentence_for_each_change() -> None:
    study = grid_study(design="one_at_a_time")
    records = [record for record in grid_records() if record.trial.setting < 3]
    collapse, best = answered(study, records)
    assert collapse == (
        "Without sharpening (teacher_temp = 0.2), 3 of 3 trials collapsed to a uniform teacher. "
        "Without centering (center_momentum = 1), 3 of 3 trials collapsed to a single prototype. "
        "All 3 trials of the baseline ended healthy."
    )
    assert best.startswith(
        "The best setting is t01 (the baseline). Its k-NN accuracy is 28.0 % (mean"
    )


def test_a_baseline_that_collapses_itself_is_said_first() -> None:
    settings = {CENTER: 0.9, TEMPERATURE: 0.04}
    records = seeded(0, [10.0, 11.0], SINGLE, settings=settings)
    records += seeded(1, [20.0, 21.0], settings={**settings, TEMPERATURE: 0.07})
    collapse, _ = answered(grid_study(design="one_at_a_time"), records)
    assert collapse.startswith("With the baseline itself, 2 of 2 trials collapsed to a single")
    assert "Both trials with teacher_temp = 0.07 ended healthy." in collapse


def test_a_clean_record_says_what_it_leaves_open() -> None:
    collapse, _ = answered(NO_BASELINE, seeded(0, [20.0, 21.0, 22.0]))
    assert collapse == (
        "All 3 trials ended healthy. But 3 seeds per setting cannot exclude a failure rate of up "
        "to 71 % (95 % interval)."  # 1 - 0.025^(1/3)
    )
    assert "But 1 seed per setting cannot" in answered(NO_BASELINE, seeded(0, [20.0]))[0]


def test_where_everything_collapsed_no_setting_prevented_it() -> None:
    records = seeded(0, [10.0, 11.0], SINGLE) + seeded(1, [10.0, 11.0], UNIFORM)
    assert answered(NO_BASELINE, records) == (
        "All 4 trials collapsed. Of these 4 trials, 2 collapsed to a single prototype and 2 "
        "collapsed to a uniform teacher. No value of the varied hyperparameters prevented the "
        "failures.",
        "No setting is healthy in all its seeds, so none is recommended.",
    )


def test_trials_that_say_nothing_are_counted_apart() -> None:
    records = [
        *seeded(0, [20.0, 21.0, 22.0]),
        *seeded(1, [10.0, 11.0, 12.0], SINGLE),
        trial_record(0, 3, 20.0, VerdictKind.UNDECIDED),
        trial_record(0, 4, None, None, state="failed"),
        trial_record(1, 3, 20.0, state="stopped"),
    ]
    collapse, best = answered(NO_BASELINE, records)
    assert "All 3 judged trials with teacher_temp = 0.05 collapsed to" in collapse
    assert collapse.endswith(
        "3 trials (t01-s3, t01-s4 and t02-s3) have no final verdict: 1 ended with an error, 1 was "
        "stopped early by the scheduler and 1 is undecided."
    )
    assert best == "No setting is healthy in all its seeds, so none is recommended."


def test_trials_that_are_only_undecided_are_named_if_they_are_few() -> None:
    records = [
        *seeded(0, [20.0, 21.0, 22.0]),
        *seeded(1, [10.0, 11.0, 12.0], SINGLE),
        trial_record(1, 3, 20.0, VerdictKind.UNDECIDED),
    ]
    collapse, _ = answered(NO_BASELINE, records)
    assert collapse.endswith(
        "1 trial (t02-s3) ended undecided: neither clearly healthy nor clearly failed. The counts "
        "leave it out."
    )
    records += [trial_record(1, seed, 20.0, VerdictKind.UNDECIDED) for seed in (4, 5, 6)]
    assert " 4 trials ended undecided: neither" in answered(NO_BASELINE, records)[0]


def test_trials_without_a_clear_verdict_are_not_counted_with_their_change() -> None:
    settings = {CENTER: 0.9, TEMPERATURE: 0.04}
    changed = {**settings, TEMPERATURE: 0.2}
    records = [
        *seeded(0, [20.0, 21.0, 22.0], settings=settings),
        *seeded(1, [10.0, 11.0], UNIFORM, settings=changed),
        trial_record(1, 2, 10.0, VerdictKind.UNDECIDED, settings=changed),
    ]
    collapse, _ = answered(grid_study(design="one_at_a_time"), records)
    assert collapse == (
        "Without sharpening (teacher_temp = 0.2), 2 of 2 judged trials collapsed to a uniform "
        "teacher. All 3 trials of the baseline ended healthy. 1 trial (t02-s2) ended undecided: "
        "neither clearly healthy nor clearly failed. The counts leave it out."
    )


def test_a_teacher_without_momentum_is_told_from_one_that_only_starts_equal() -> None:
    """Every teacher starts with its student's weights."""
    space = make_space(
        {MOMENTUM: {"grid_search": [0.99, 0.0]}}, baseline={MOMENTUM: 0.99}, design="one_at_a_time"
    )
    study = make_study(space, "ablate")
    records = [
        *seeded(0, [20.0], settings={MOMENTUM: 0.99}),
        *seeded(1, [10.0], UNIFORM, settings={MOMENTUM: 0.0}),
    ]
    collapse, _ = answered(study, records)
    assert collapse.startswith(
        "With a teacher that copies its student after every step at the start of training "
    )
    final = study.recipe.objective.model_copy(update={"final_teacher_momentum": 0.0})
    recipe = study.recipe.model_copy(update={"objective": final})
    collapse, _ = answered(replace(study, recipe=recipe), records)
    assert collapse.startswith("With a teacher that copies its student after every step (")


def test_healthy_trials_are_told_for_the_baseline_and_for_each_of_few_changes() -> None:
    settings = {CENTER: 0.9, TEMPERATURE: 0.04}
    records = [
        *seeded(0, [20.0, 21.0], settings=settings),
        *seeded(1, [22.0, 23.0], settings={**settings, TEMPERATURE: 0.07}),
        *seeded(2, [10.0, 11.0], SINGLE, settings={**settings, CENTER: 1.0}),
    ]
    collapse, _ = answered(grid_study(design="one_at_a_time"), records)
    assert collapse.endswith(
        "Both trials of the baseline ended healthy. "
        "Both trials with teacher_temp = 0.07 also ended healthy."
    )
    for number, value in enumerate((0.06, 0.05), start=3):
        records += seeded(number, [22.0, 23.0], settings={**settings, TEMPERATURE: value})
    collapse, _ = answered(grid_study(design="one_at_a_time"), records)
    assert collapse.endswith(
        "Both trials of the baseline ended healthy. "
        "All 6 trials of the 3 other changes also ended healthy."
    )


def test_the_best_setting_is_named_by_what_its_change_means() -> None:
    settings = {CENTER: 0.9, TEMPERATURE: 0.04}
    records = [
        *seeded(0, [20.0, 21.0, 22.0], settings=settings),
        *seeded(1, [30.0, 31.1, 32.0], settings={**settings, CENTER: 1.0}),
    ]
    _, best = answered(grid_study(design="one_at_a_time"), records)
    assert best.startswith("The best setting is t02 (without centering, center_momentum=1). Its")


def test_a_study_without_a_verdict_says_why() -> None:
    failed = [trial_record(0, seed, None, None, state="failed") for seed in (1, 2)]
    undecided = [trial_record(0, seed, 20.0, VerdictKind.UNDECIDED) for seed in range(3)]
    begun = [replace(record, state="interrupted") for record in undecided]
    for records, expected in (
        ([], "No trial has begun."),
        (failed, "Both trials ended with an error, so there is no verdict."),
        (undecided, "All 3 trials ended undecided: neither clearly healthy nor clearly failed."),
        ([*undecided[:2], begun[2]], "No trial has a final verdict."),
        (begun, "No trial has ended yet. The final verdict on a trial is known only at its end."),
    ):
        collapse, best = answered(NO_BASELINE, records)
        assert collapse == expected
        assert best.startswith("So no setting can be recommended")


def test_an_unfinished_study_says_so_far() -> None:
    study = make_study(make_space({TEMPERATURE: {"grid_search": [0.04, 0.05, 0.06]}}), "ablate")
    collapse, best = answered(study, seeded(0, [20.0]))
    assert collapse.startswith("So far, the only trial ended healthy.")
    assert best.startswith("The best setting so far is t01")


def test_mixed_failures_are_called_failures_and_listed() -> None:
    kinds = [SINGLE, SINGLE, VerdictKind.DIVERGED, VerdictKind.STUCK, UNIFORM, UNIFORM]
    records = [trial_record(1, seed, 10.0, kind) for seed, kind in enumerate(kinds)]
    collapse, _ = answered(NO_BASELINE, [*records, *seeded(0, [20.0] * 6)])
    assert "All 6 trials with teacher_temp = 0.05 failed to learn." in collapse
    assert "Of these 6 trials, 2 collapsed to a single prototype, 2 collapsed to a uniform" in (
        collapse
    )


def test_a_verdict_without_words_of_its_own_is_still_told() -> None:
    records = seeded(1, [1.0], VerdictKind.PREDICTS_MEAN) + seeded(0, [2.0])
    assert "collapsed to predicting the mean" in answered(NO_BASELINE, records)[0]


def test_figures_of_several_goals_name_the_trials_that_none_beats() -> None:
    space = make_space(metric=[METRIC, "eval/rankme"], mode=["max", "max"])
    records = [
        trial_record(n, 0, metrics={METRIC: 20.0 + n, "eval/rankme": 9.0 - n}) for n in range(2)
    ]
    _, best = answered(make_study(space), records)
    assert best.endswith(
        "The study has several metrics, and this ranking uses only the first. The Pareto front of "
        "all metrics is t02-s0 and t01-s0. A trial is on the front if no other trial is better in "
        "one metric and at least as good in all others."
    )


def test_collapses_among_what_a_scheduler_left_have_no_chance() -> None:
    """One of four seeds collapses everywhere, and of the healthy three two are cut off."""
    settings = [0.03, 0.04, 0.05, 0.06, 0.07, 0.08]
    space = make_space({TEMPERATURE: {"grid_search": settings}}, scheduler={"name": "asha"})
    records = []
    for number, value in enumerate(settings):
        held: dict[str, Any] = {"settings": {TEMPERATURE: value}, "state": "stopped"}
        records += seeded(number, [10.0], SINGLE, **held)
        records += [trial_record(number, seed, 20.0, **held) for seed in (1, 2)]
        records.append(trial_record(number, 3, 30.0, **{**held, "state": "finished"}))
    collapse, _ = answered(make_study(space), records)
    assert collapse.startswith("6 of 12 judged trials collapsed to a single prototype. No simple")
    assert "coincidence" not in collapse
    assert (
        "12 trials have no final verdict, because they were stopped early by the scheduler."
        in collapse
    )
    assert all(row.condemned.low is None for row in compare(make_study(space), records).rows)
