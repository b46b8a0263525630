"""What is said about the best setting, and how surely."""

from typing import Any

from poise.studies.findings.comparison import compare
from tests.studies.builders import TEMPERATURE, make_space, make_study
from tests.studies.samples import METRIC, answered, seeded, trial_record

NO_BASELINE = make_study(make_space({TEMPERATURE: {"uniform": [0.1, 0.9]}}))


def test_a_difference_to_the_baseline_is_called_chance_where_it_may_be() -> None:
    baseline = seeded(0, [20.0, 21.0, 22.0], settings={TEMPERATURE: 0.04})

    def with_gain(*figures: float) -> str:
        other = seeded(1, figures, settings={TEMPERATURE: 0.07})
        return answered(make_study(), [*baseline, *other])[1]

    surely = with_gain(21.0, 21.9, 23.1)
    assert (
        "The best setting is 1.0 points above the baseline (95 % interval of the difference: 0.8 "
        "to 1.2). The difference is significant (p = 0.0" in surely
    )
    assert "The difference is not significant (p = " in with_gain(20.5, 26.0, 20.0)
    assert with_gain(19.0, 20.1, 20.9).endswith("The other healthy setting is significantly worse.")
    assert with_gain(19.0, 22.0, 20.9).endswith(
        "The other healthy setting is not significantly worse."
    )


def test_a_setting_that_is_better_in_the_shared_seeds_is_not_called_significantly_worse() -> None:
    # The baseline's fourth seed makes it the best, but each shared seed is better without it.
    baseline = seeded(0, [20.0, 20.1, 19.9, 23.0], settings={TEMPERATURE: 0.04})
    other = seeded(1, [20.5, 20.61, 20.4], settings={TEMPERATURE: 0.07})
    study, records = make_study(), [*baseline, *other]
    _, row = compare(study, records).rows
    assert row.difference is not None and row.difference.p_holm is not None
    assert row.difference.p_holm < 0.05
    assert answered(study, records)[1].endswith(
        "The other healthy setting is not significantly worse."
    )


def test_a_corrected_p_is_told_from_an_interval_that_is_not_corrected() -> None:
    def best(*figures: float) -> str:
        settings = [0.04, 0.07, 0.06, 0.05, 0.08]
        records = [
            *seeded(0, [20.0, 21.0, 22.0], settings={TEMPERATURE: settings[0]}),
            *seeded(1, figures, settings={TEMPERATURE: settings[1]}),
        ]
        for number, value in enumerate(settings[2:], start=2):
            records += seeded(number, [19.0, 21.5, 21.9], settings={TEMPERATURE: value})
        return answered(make_study(), records)[1]

    between = best(22.0, 23.9, 24.0)
    assert "After correction for 4 comparisons, the difference is not significant (p = " in between
    assert between.endswith("The interval is not corrected.")
    surely = best(22.0, 23.0001, 24.0)
    assert "After correction for 4 comparisons, the difference is significant (p < " in surely
    assert "not corrected" not in surely + best(20.5, 26.0, 20.0)


def test_without_a_baseline_the_best_is_compared_with_the_second() -> None:
    records = seeded(1, [20.0, 21.0, 22.0]) + seeded(2, [23.0, 24.1, 25.0])
    _, best = answered(NO_BASELINE, records)
    assert best == (
        "The best setting is t03 (teacher_temp=0.06). Its k-NN accuracy is 24.0 % (mean over 3 "
        "seeds, 95 % interval 21.5 to 26.5). The second best setting, t02 (teacher_temp=0.05), is "
        "3.0 points below the best setting (95 % interval of the difference: −3.2 to −2.9). The "
        "value of the best of 2 settings is probably too good, because this value was used to "
        "choose the setting."
    )
    # Chosen on the figures that a test would take: p would be too small.
    assert "significant" not in best and "p =" not in best
    _, best = answered(NO_BASELINE, seeded(1, [20.0, 21.0, 22.0]) + seeded(2, [23.0, 24.0, 25.0]))
    assert "is 3.0 points below the best setting with each of 3 seeds." in best


def test_figures_that_are_equal_name_no_winner_over_the_baseline() -> None:
    alike = [20.0, 21.0, 22.0]
    other = seeded(0, alike, settings={TEMPERATURE: 0.07})
    baseline = seeded(1, alike, settings={TEMPERATURE: 0.04})
    _, best = answered(make_study(), [*other, *baseline])
    assert best.startswith(
        "The best setting is t02 (teacher_temp=0.04), the baseline. Its k-NN accuracy is 21.0 %"
    )
    assert best.endswith("The other healthy setting is not significantly worse.")
    # With a fourth seed it is ahead by that seed alone, and no better where both were measured.
    ahead = [*other, trial_record(0, 3, 25.0, settings={TEMPERATURE: 0.07})]
    _, best = answered(make_study(), [*ahead, *baseline])
    assert best.endswith("The best setting is as good as the baseline with each of 3 seeds.")


def test_healthy_settings_without_a_figure_are_not_called_unhealthy() -> None:
    _, best = answered(NO_BASELINE, seeded(0, [None, None, None]))
    assert best == "No healthy setting has a value of k-NN accuracy, so none is recommended."


def test_the_gain_over_the_untrained_network_is_said_and_a_loss_too() -> None:
    def best(*figures: float) -> str:
        records = [
            trial_record(0, seed, metrics={METRIC: knn, "untrained/knn_top1": 39.0 + seed})
            for seed, knn in enumerate(figures)
        ]
        return answered(NO_BASELINE, records)[1]

    assert "This is 4.4 points more than before training. No other" in best(43.0, 44.4, 45.8)
    assert "This is 5.6 points less than before training, so training made it worse." in (
        best(33.0, 34.4, 35.8)
    )


def test_survivors_of_a_scheduler_are_no_evidence() -> None:
    # Of six seeds the scheduler kept the three best: 10 above the baseline, and no chance of it.
    def swept(**changes: Any) -> str:
        space = make_space(seeds=range(6), **changes)
        stopped = [trial_record(1, seed, 9.0, state="stopped") for seed in (3, 4, 5)]
        survivors = seeded(1, [30.0, 31.2, 32.0])
        return answered(make_study(space), [*seeded(0, [20.0, 21.0, 22.0]), *survivors, *stopped])[
            1
        ]

    best = swept(scheduler={"name": "asha"})
    assert (
        "Only 3 of 6 seeds trained to the end, because the scheduler stopped the worse seeds. So "
        "the mean of this setting is too good." in best
    )
    assert best.endswith(
        "This difference was not tested, because the scheduler asha used these values to stop "
        "trials."
    )
    for changes in ({"scheduler": {"name": "pbt"}}, {"searcher": {"name": "optuna"}}):
        best = swept(**changes)
        assert (
            "10.1 points above the baseline (95 % interval of the difference: 9.8 to 10.4). This "
            "difference was not tested" in best
        )
        assert "significant" not in best and "p =" not in best


def test_a_baseline_is_not_tested_against_survivors_either() -> None:
    space = make_space(seeds=[0, 1, 2], scheduler={"name": "median"})
    records = seeded(0, [20.0, 21.0, 22.0]) + seeded(1, [10.0, 11.1, 12.0])
    assert answered(make_study(space), records)[1].endswith(
        "The other healthy setting was not tested against the baseline, because the scheduler "
        "median used these values to stop trials."
    )


def test_two_shared_seeds_are_an_anecdote_however_many_each_setting_has() -> None:
    baseline, better = seeded(0, [20.0, 21.0, 22.0]), seeded(1, [None, 25.0, 26.001])
    better.append(trial_record(1, 3, 27.0))
    _, best = answered(make_study(), [*baseline, *better])
    assert best.endswith(
        "The best setting is 4.0 points above the baseline. But only 2 seeds ran with both "
        "settings, so treat the difference as an anecdote."
    )
    worse = [*seeded(1, [None, 15.0, 16.001]), trial_record(1, 3, 17.0)]
    assert answered(make_study(), [*baseline, *worse])[1].endswith(
        "The other healthy setting shares fewer than 3 seeds with the baseline, which is too few "
        "for a test."
    )


def test_a_smaller_loss_is_better_where_the_study_says_so() -> None:
    space = make_space({TEMPERATURE: {"uniform": [0.1, 0.9]}}, metric="loss/total", mode="min")
    records = [
        trial_record(n, seed, metrics={METRIC: 20.0 + n, "loss/total": 1.0 + n + seed / 10})
        for n in range(2)
        for seed in range(3)
    ]
    assert answered(make_study(space), records)[1].startswith(
        "The best setting is t01 (teacher_temp=0.04), the baseline. Its loss is 1.10 ("
    )


def test_a_run_from_trained_weights_is_compared_with_its_start() -> None:
    records = [
        trial_record(0, seed, metrics={METRIC: 45.0 + seed, "start/knn_top1": 43.0 + seed})
        for seed in range(3)
    ]
    _, best = answered(NO_BASELINE, records)
    assert "This is 2.0 points more than with the initial weights. No other" in best
