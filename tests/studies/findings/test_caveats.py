"""The notes under the table of settings."""

import math
from typing import Any

from poise.diagnostics.judge import VerdictKind
from poise.studies.findings.caveats import notes_on
from poise.studies.findings.comparison import compare
from poise.studies.findings.table import FEW_SEEDS
from poise.studies.records import Change, TrialRecord
from poise.studies.study import Study
from tests.studies.builders import TEMPERATURE, make_space, make_study
from tests.studies.samples import SINGLE, grid_records, grid_study, seeded, trial_record


def notes(study: Study, records: list[TrialRecord]) -> tuple[str, ...]:
    return notes_on(study, records, compare(study, records))


def test_a_full_study_of_three_seeds_needs_no_note() -> None:
    assert notes(grid_study(), grid_records()) == ()
    assert notes(make_study(), []) == ()


def test_fewer_than_three_seeds_are_called_anecdotes() -> None:
    records = [record for record in grid_records() if record.trial.seed < 2]
    assert notes(grid_study(), records) == (), "the answer says it of the best setting"
    unhealthy = [record for record in records if record.trial.setting > 0]
    assert notes(grid_study(), unhealthy)[-1] == FEW_SEEDS
    assert notes(grid_study(), grid_records()[:-1])[0].startswith("Some settings have results")


def test_a_trial_without_a_figure_is_named() -> None:
    # One of three diverged and its k-NN is not a number: the mean is of two.
    records = [*seeded(0, [30.0, 31.0, 32.0]), *seeded(1, [20.0, 21.0])]
    records.append(trial_record(1, 2, math.nan, VerdictKind.DIVERGED))
    seeds, missing = notes(make_study(), records)
    assert seeds.startswith("Some settings have results from fewer than 3 seeds")
    assert missing == (
        "1 of 6 trials that ended has no value of k-NN accuracy (t02-s2). The means leave this "
        "trial out."
    )


def test_differences_from_few_shared_seeds_are_called_anecdotes() -> None:
    others = [trial_record(1, seed, 20.0 + seed) for seed in (2, 3, 4)]
    (note,) = notes(make_study(), [*seeded(0, [30.0, 31.0, 32.0]), *others])
    assert note.startswith("All differences from the baseline come from fewer than 3 seeds")


def test_a_scheduler_that_chose_by_the_figures_is_named() -> None:
    space = make_space(seeds=range(4), scheduler={"name": "asha"})
    records = seeded(0, [20.0, 21.0, 22.0]) + seeded(1, [23.0, 24.1, 25.0])
    records.append(trial_record(1, 3, 9.0, state="stopped", stopped_by="asha"))
    why, survivors, stopped = notes(make_study(space), records)
    assert why == (
        "The differences have no p-value, because the scheduler asha used these values to stop "
        "trials."
    )
    assert survivors.startswith("In 1 of 2 settings, the scheduler stopped the worse seeds.")
    assert stopped.startswith("The scheduler stopped 1 of 7 trials early, although these trials")


def test_nothing_left_to_compare_is_said() -> None:
    *_, note = notes(make_study(), [trial_record(0, 0, None, None, state="failed")])
    assert note == "1 of 1 trials ended with an error (t01-s0). Nothing is left to compare."


def test_failed_trials_that_ended_early_measure_time_as_well() -> None:
    early: dict[str, Any] = {"step": 40, "stopped_by": "CollapseStopper", "state": "stopped"}
    records = seeded(0, [30.0, 31.0, 32.0]) + seeded(1, [10.0, 11.0, 12.0], SINGLE, **early)
    diverged = trial_record(1, 3, 9.0, VerdictKind.DIVERGED, step=30)  # ended by itself
    assert notes(make_study(), records)[-1] == (
        "CollapseStopper stopped 3 trials before their last planned step, because they collapsed. "
        "These trials trained for fewer steps, which can explain a part of their difference from "
        "the baseline."
    )
    expected = "4 trials that failed to learn ended before their last planned step."
    assert any(note.startswith(expected) for note in notes(make_study(), [*records, diverged]))
    lasting = seeded(1, [10.0, 11.0, 12.0], SINGLE)
    unmeasured = trial_record(1, 3, None, SINGLE, **early)
    told = notes(make_study(), [*records[:3], *lasting, unmeasured])
    assert not any("last planned step" in note for note in told)


def test_trials_that_changed_settings_are_listed_with_their_first_ones() -> None:
    change = Change(40, "t01-s0", "/there", {TEMPERATURE: 0.04})
    records = [*seeded(0, [30.0, 31.0, 32.0]), trial_record(1, 0, 29.0, changes=(change,))]
    told = notes(make_study(), records)
    assert any("changed weights and hyperparameters of 1 of 4 trials" in note for note in told)


def test_a_collapsed_setting_with_the_best_figure_is_pointed_out() -> None:
    records = seeded(0, [25.0, 26.0, 27.0]) + seeded(1, [30.0, 31.0, 29.0], SINGLE)
    assert (
        "Setting t02 (teacher_temp=0.05) has the best k-NN accuracy of all settings (30.0 %), "
        "although it collapsed. Do not choose a setting by this metric alone."
    ) in notes(make_study(), records)


def test_the_figure_before_training_is_said() -> None:
    def before(*figures: float) -> str:
        records = [
            trial_record(n, 0, metrics={"eval/knn_top1": 30.0, "untrained/knn_top1": figure})
            for n, figure in enumerate(figures)
        ]
        return notes(make_study(), records)[-1]

    assert before(26.2) == "Before training, k-NN accuracy was 26.2 %."
    assert before(26.2, 34.2) == (
        "Before training, k-NN accuracy was 26.2 to 34.2 %, depending on the setting."
    )


def test_a_baseline_that_has_not_run_is_said() -> None:
    records = seeded(0, [20.0, 21.0, 22.0], settings={TEMPERATURE: 0.07})
    told = notes(
        make_study(make_space({TEMPERATURE: {"grid_search": [0.04, 0.07]}}), "ablate"), records
    )
    assert (
        "The baseline has not run yet, so the table has no differences from the baseline." in told
    )
