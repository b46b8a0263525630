from dataclasses import replace
from typing import Any

from poise.diagnostics.judge import VerdictKind
from poise.studies.analysis.dose_response import dose_responses
from poise.studies.estimates import Share
from poise.studies.findings.answer import answer
from poise.studies.findings.comparison import compare
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from tests.studies.builders import TEMPERATURE, make_space, make_study
from tests.studies.samples import (
    HEALTHY,
    METRIC,
    SINGLE,
    grid_records,
    grid_study,
    seeded,
    trial_record,
)

NO_BASELINE = make_study(make_space({TEMPERATURE: {"uniform": [0.1, 0.9]}}))


def told(study: Study, records: list[TrialRecord]) -> tuple[str, str]:
    dose = next(iter(dose_responses(study.space, records)), None)
    return answer(compare(study, records), dose)


def test_it_names_which_settings_collapsed_how_and_how_surely() -> None:
    collapse, best = told(grid_study(), grid_records())
    assert (
        "center_momentum=1, teacher_temp=0.04 in 3 of 3 seeds (single prototype; chance 29 to"
        in (collapse)
    )
    assert collapse.endswith("; the other setting in none.")
    assert "28.0 % (95 % interval 25.5 to 30.5, 3 seeds); it is the baseline" in best


def test_seeds_of_which_nothing_is_known_are_not_counted_among_those_that_held() -> None:
    undecided = trial_record(0, 3, 20.0, VerdictKind.UNDECIDED)
    records = [*seeded(0, [20.0, 21.0, 22.0]), undecided, *seeded(1, [10.0, 11.0, 12.0], SINGLE)]
    collapse, best = told(NO_BASELINE, records)
    assert "teacher_temp=0.05 in 3 of 3 judged seeds" in collapse
    assert best == "No setting was healthy in all of its seeds, so none can be recommended."


def test_it_says_what_a_clean_record_leaves_open() -> None:
    collapse, _ = told(NO_BASELINE, seeded(0, [20.0, 21.0, 22.0]))
    assert "None of the 3 judged trials of 1 setting collapsed, got stuck or diverged" in collapse
    assert "a chance of up to 71 % open" in collapse  # 1 - 0.025^(1/3)


def test_it_sums_up_what_is_too_much_to_name() -> None:
    records = [
        trial_record(n, 0, 20.0, SINGLE if n >= 4 else HEALTHY, settings={TEMPERATURE: n / 10})
        for n in range(10)
    ]
    collapse, best = told(NO_BASELINE, records)
    assert "collapsed in 6 of 10 trials (60 %), " in collapse
    assert "from 0 of 2 at teacher_temp 0 to 0.1 to" in collapse
    assert "of 1 seed that proves nothing" in best
    alike = [replace(each, trial=replace(each.trial, settings={TEMPERATURE: 0.1 * (n % 2)}))
             for n, each in enumerate(records)]  # fmt: skip
    assert told(NO_BASELINE, alike)[0].endswith("in 6 of 10 trials (60 %).")


def test_a_difference_to_the_baseline_is_called_chance_where_it_may_be() -> None:
    baseline = seeded(0, [20.0, 21.0, 22.0], settings={TEMPERATURE: 0.04})

    def with_gain(*figures: float) -> str:
        other = seeded(1, figures, settings={TEMPERATURE: 0.07})
        return told(make_study(), [*baseline, *other])[1]

    assert "1.0 above the baseline (95 % interval 0.8 to 1.2, corrected p = 0.0" in (
        with_gain(21.0, 21.9, 23.1)
    )
    assert with_gain(21.0, 21.9, 23.1).endswith("more than chance.")
    assert with_gain(20.5, 26.0, 20.0).endswith("which may be chance.")
    assert with_gain(19.0, 20.1, 20.9).endswith("1 of 1 setting more that stayed healthy is behind "
                                                "it by more than chance.")  # fmt: skip
    assert with_gain(19.0, 22.0, 20.9).endswith("none differs from it by more than chance.")


def test_without_a_baseline_the_best_is_held_against_the_second() -> None:
    records = seeded(1, [20.0, 21.0, 22.0]) + seeded(2, [23.0, 24.1, 25.0])
    _, best = told(NO_BASELINE, records)
    assert "teacher_temp=0.06 has the best k-NN: 24.0 %" in best
    assert "the second, teacher_temp=0.05, is 3.0 below it (95 % interval −3.2 to −2.9)" in best
    # Chosen on the figures that a test would take: p would be too small.
    assert best.endswith("it was chosen as the best of 2 by these same figures, which favours it.")
    assert "chance" not in best and "p =" not in best
    _, best = told(NO_BASELINE, seeded(1, [20.0, 21.0, 22.0]) + seeded(2, [23.0, 24.0, 25.0]))
    assert "is 3.0 below it in each of 3 seeds alike" in best


def test_nothing_healthy_is_nothing_to_recommend() -> None:
    nothing = "No setting was healthy in all of its seeds, so none can be recommended."
    assert told(NO_BASELINE, seeded(0, [20.0], SINGLE))[1] == nothing
    failed = [trial_record(0, seed, None, None, state="failed") for seed in (1, 2)]
    assert told(NO_BASELINE, [trial_record(0, 0, 20.0), *failed])[1] == nothing
    assert told(NO_BASELINE, failed) == (
        "All 2 trials failed before they could be judged.", "So no setting can be recommended.",
    )  # fmt: skip
    assert told(NO_BASELINE, [])[0] == "No trial has come far enough to be judged."


def test_trials_that_ended_undecided_are_not_told_as_too_short() -> None:
    undecided = [trial_record(0, seed, 20.0, VerdictKind.UNDECIDED) for seed in range(3)]
    assert told(NO_BASELINE, undecided) == (
        "All 3 trials ended undecided: neither surely healthy nor surely lost.",
        "So no setting can be recommended.",
    )
    going_on = [*undecided[:2], replace(undecided[2], state="running")]
    assert told(NO_BASELINE, going_on)[0] == "No trial has come far enough to be judged."
    begun = [replace(record, state="interrupted") for record in undecided]
    assert told(NO_BASELINE, begun)[0] == "No trial has ended, and a trial is judged at its end."


def test_figures_that_are_exactly_alike_name_no_winner_over_the_baseline() -> None:
    alike = [20.0, 21.0, 22.0]
    other = seeded(0, alike, settings={TEMPERATURE: 0.07})
    baseline = seeded(1, alike, settings={TEMPERATURE: 0.04})
    _, best = told(make_study(), [*other, *baseline])
    assert "teacher_temp=0.04 has the best k-NN" in best
    assert best.endswith("more that stayed healthy none differs from it by more than chance, 1 not "
                         "at all.")  # fmt: skip
    # What has a fourth seed is ahead by it alone, and is no better where both were measured.
    ahead = [*other, trial_record(0, 3, 25.0, settings={TEMPERATURE: 0.07})]
    _, best = told(make_study(), [*ahead, *baseline])
    assert "teacher_temp=0.07 has the best k-NN" in best
    assert best.endswith("that is as good as the baseline in each of 3 seeds alike.")
    _, best = told(NO_BASELINE, [*seeded(1, alike), *seeded(2, alike)])
    assert best.endswith("; the second, teacher_temp=0.06, is as good as it in each of 3 seeds "
                         "alike.")  # fmt: skip


def test_healthy_settings_without_a_figure_are_not_called_unhealthy() -> None:
    _, best = told(NO_BASELINE, seeded(0, [None, None, None]))
    assert best == "No setting that stayed healthy has a k-NN, so none can be called the best."


def test_a_best_setting_that_training_made_worse_is_told_as_that() -> None:
    def best(*figures: float) -> str:
        records = [
            trial_record(0, seed, metrics={METRIC: knn, "untrained/knn_top1": 39.0 + seed})
            for seed, knn in enumerate(figures)
        ]
        return told(NO_BASELINE, records)[1]

    worse = best(33.0, 34.4, 35.8)
    assert "3 seeds), 5.6 points below the 40.0 % that it had untrained; it is the" in worse
    assert "untrained" not in best(43.0, 44.4, 45.8)


def test_one_seed_leaves_a_chance_open() -> None:
    assert "1 seed of a setting leaves a chance of" in told(NO_BASELINE, seeded(0, [20.0]))[0]


def test_survivors_of_a_scheduler_are_no_proof() -> None:
    # Of six seeds the scheduler kept the three best: 10 above the baseline, and no chance of it.
    def swept(**changes: Any) -> tuple[str, str]:
        space = make_space(seeds=range(6), **changes)
        stopped = [trial_record(1, seed, 9.0, state="stopped") for seed in (3, 4, 5)]
        survivors = seeded(1, [30.0, 31.2, 32.0])
        return told(make_study(space), [*seeded(0, [20.0, 21.0, 22.0]), *survivors, *stopped])

    collapse, best = swept(scheduler={"name": "asha"})
    assert collapse == (
        "None of the 6 judged trials of 2 settings collapsed, got stuck or diverged; 9 ran, and "
        "how those that were stopped would have ended is open."
    )
    assert "31.1 % (mean of the survivors, 3 of 6 seeds, 95 % interval 28.6 to 33.6)" in best
    assert best.endswith("untested: scheduler asha chose by these figures which trials are left.")
    for changes in ({"scheduler": {"name": "pbt"}}, {"searcher": {"name": "optuna"}}):
        _, best = swept(**changes)
        assert "above the baseline (95 % interval 9.8 to 10.4), untested: " in best
        assert "chance" not in best and "p =" not in best


def test_collapses_among_what_a_scheduler_left_are_no_share_of_all_trials() -> None:
    """One of four seeds collapses everywhere, and of the healthy three two are cut off."""
    settings = [0.03, 0.04, 0.05, 0.06, 0.07, 0.08]
    space = make_space({TEMPERATURE: {"grid_search": settings}}, scheduler={"name": "asha"})

    def swept(num_settings: int) -> str:
        records = []
        for number, value in enumerate(settings[:num_settings]):
            held: dict[str, Any] = {"settings": {TEMPERATURE: value}, "state": "stopped"}
            records += seeded(number, [10.0], SINGLE, **held)
            records += [trial_record(number, seed, 20.0, **held) for seed in (1, 2)]
            records.append(trial_record(number, 3, 30.0, **{**held, "state": "finished"}))
        comparison = compare(make_study(space), records)
        assert {row.condemned for row in comparison.rows} == {Share(1, 2, None, None)}
        assert "counts of what failed, which thereby come out too high" in " ".join(
            comparison.notes
        )
        return answer(comparison, None)[0]

    assert swept(6) == "Training collapsed in 6 of 12 judged trials (24 ran)."
    assert swept(1).startswith(
        "Training collapsed with teacher_temp=0.03 in 1 of 2 judged seeds (single prototype); "
    )


def test_a_baseline_is_not_tested_against_survivors_either() -> None:
    space = make_space(seeds=[0, 1, 2], scheduler={"name": "median"})
    records = seeded(0, [20.0, 21.0, 22.0]) + seeded(1, [10.0, 11.1, 12.0])
    assert (
        "none was tested against it: scheduler median chose"
        in (told(make_study(space), records)[1])
    )


def test_two_seeds_in_common_prove_nothing_however_many_each_has() -> None:
    baseline, better = seeded(0, [20.0, 21.0, 22.0]), seeded(1, [None, 25.0, 26.001])
    better.append(trial_record(1, 3, 27.0))
    _, best = told(make_study(), [*baseline, *better])
    assert "4.0 above the baseline, of 2 seeds in common, which proves nothing." in best
    worse = [*seeded(1, [None, 15.0, 16.001]), trial_record(1, 3, 17.0)]
    assert told(make_study(), [*baseline, *worse])[1].endswith(
        "none shares 3 seeds with it, which proves nothing."
    )


def test_a_smaller_loss_is_better_where_the_study_says_so() -> None:
    space = make_space({TEMPERATURE: {"uniform": [0.1, 0.9]}}, metric="loss/total", mode="min")
    records = [
        trial_record(n, seed, metrics={METRIC: 20.0 + n, "loss/total": 1.0 + n + seed / 10})
        for n in range(2)
        for seed in range(3)
    ]
    _, best = told(make_study(space), records)
    assert "teacher_temp=0.04 has the best loss: 1.10 (" in best
