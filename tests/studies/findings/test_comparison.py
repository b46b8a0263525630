import math

import pytest

from poise.diagnostics.judge import VerdictKind
from poise.reports.study.terminal_table import comparison_table
from poise.studies.findings.comparison import compare
from poise.studies.records import TrialRecord
from tests.studies.builders import TEMPERATURE, make_space, make_study
from tests.studies.samples import (
    CENTER,
    HEALTHY,
    METRIC,
    SINGLE,
    grid_records,
    grid_study,
    seeded,
    trial_record,
)


def test_each_setting_is_held_against_the_baseline_seed_by_seed() -> None:
    comparison = compare(grid_study(), grid_records())
    baseline, warm, uncentered, _ = comparison.rows
    assert comparison.baseline is baseline and baseline.difference is None
    assert baseline.settings == {CENTER: 0.9, TEMPERATURE: 0.04}
    assert baseline.mean.value == 28 and baseline.mean.n == 3
    assert warm.difference is not None and uncentered.difference is not None
    assert warm.difference.value == pytest.approx((-7 - 6.5 - 8) / 3)
    assert warm.difference.n == 3 and warm.onset_step == 40
    # The smallest of three p-values counts three times.
    assert uncentered.difference.p is not None
    assert uncentered.difference.p_holm == pytest.approx(3 * uncentered.difference.p)
    assert (uncentered.condemned.count, uncentered.condemned.n) == (3, 3)
    assert uncentered.verdicts == {"collapsed: single prototype": 3}
    assert comparison.condemned_as == "collapsed"
    assert [row.setting for row in comparison.healthy] == [0]


def test_the_baseline_is_the_recipes_own_where_the_space_names_none() -> None:
    space = make_space({TEMPERATURE: {"grid_search": [0.04, 0.07]}})
    records = seeded(0, [1.0], settings={TEMPERATURE: 0.07}) + seeded(
        1, [2.0], settings={TEMPERATURE: 0.04}
    )
    assert [row.is_baseline for row in compare(make_study(space), records).rows] == [False, True]


def test_seeds_count_by_their_figures_not_by_their_trials() -> None:
    # One of three diverged and its k-NN is not a number: the mean is of two.
    records = [*seeded(0, [30.0, 31.0, 32.0]), *seeded(1, [20.0, 21.0])]
    records.append(trial_record(1, 2, math.nan, VerdictKind.DIVERGED))
    comparison = compare(make_study(), records)
    _, (name, _, seeds, _, interval, _, difference, *_) = comparison_table(comparison)[1]
    assert (name, seeds) == ("t02", 3)
    assert interval == "14.1 to 26.9, n = 2" and difference == "-10.0 to -10.0, n = 2"


def test_where_figures_decided_what_is_left_there_is_no_p() -> None:
    space = make_space(seeds=range(4), scheduler={"name": "asha"})
    records = seeded(0, [20.0, 21.0, 22.0]) + seeded(1, [23.0, 24.1, 25.0])
    records.append(trial_record(1, 3, 9.0, state="stopped", stopped_by="asha"))
    comparison = compare(make_study(space), records)
    _, row = comparison.rows
    assert row.difference is not None and row.difference.low is not None
    assert row.difference.p is None and row.difference.p_holm is None
    assert (row.condemned.n, row.cut_off) == (3, 1) and row.is_healthy
    assert row.verdicts == {"healthy": 3, "healthy (stopped early)": 1}


def test_a_searcher_may_suggest_the_baseline_twice() -> None:
    again = {TEMPERATURE: 0.04}
    records = seeded(0, [20.0, 21.0, 22.0]) + seeded(1, [20.5, 21.5, 22.0], settings=again)
    space = make_space(seeds=[0, 1, 2], searcher={"name": "optuna"})
    first, second = compare(make_study(space), records).rows
    assert first.is_baseline and second.is_baseline and second.difference is None


def test_only_decided_seeds_count_towards_the_share_that_collapsed() -> None:
    records = [
        trial_record(0, 0, 30.0, HEALTHY),
        trial_record(0, 1, 10.0, SINGLE),
        trial_record(0, 2, 20.0, VerdictKind.UNDECIDED),
        trial_record(0, 3, None, None, state="failed"),
    ]
    (row,) = compare(make_study(), records).rows
    assert (row.condemned.count, row.condemned.n) == (1, 2)
    assert row.verdicts["failed"] == 1 and row.mean.n == 3
    assert row.values == {0: 30.0, 1: 10.0, 2: 20.0, 3: None}


def test_what_a_scheduler_stopped_is_in_no_mean_but_what_collapsed_early_is() -> None:
    records = [
        trial_record(0, 0, 30.0),
        trial_record(0, 1, 20.0, state="stopped", stopped_by="asha"),
        trial_record(0, 2, 10.0, SINGLE, state="stopped", stopped_by="CollapseStopper"),
        trial_record(0, 3, math.nan),
    ]
    comparison = compare(make_study(), records)
    assert comparison.rows[0].mean.value == 20 and comparison.rows[0].mean.n == 2


def test_a_setting_that_always_differs_alike_still_counts_as_a_comparison() -> None:
    baseline = seeded(0, [20.0, 21.0, 22.0], settings={TEMPERATURE: 0.04})
    alike, other = seeded(1, [21.0, 22.0, 23.0]), seeded(2, [23.0, 24.1, 25.0])
    alone = trial_record(3, 0, 20.0)  # of one seed nothing can be tested
    comparison = compare(make_study(), [*baseline, *alike, *other, alone])
    assert comparison.num_tests == 2
    _, same, found, _ = comparison.rows
    assert same.difference is not None and same.difference.p_holm is None
    assert found.difference is not None and found.difference.p is not None
    assert found.difference.p_holm == pytest.approx(2 * found.difference.p)


def test_the_figure_before_training_is_told() -> None:
    metrics = {METRIC: 30.0, "untrained/knn_top1": 26.2}
    comparison = compare(make_study(), [trial_record(0, 0, metrics=metrics)])
    assert comparison.before == (26.2,)


def test_a_sweep_for_the_smallest_of_several_metrics_needs_no_baseline() -> None:
    space = make_space(metric=["loss/total", "eval/rankme"], mode=["min", "max"])
    records = [
        trial_record(n, 0, metrics={"loss/total": 0.5 - 0.1 * n, "eval/rankme": 10.0})
        for n in range(1, 4)
    ]
    comparison = compare(make_study(space), records)
    assert comparison.baseline is None and comparison.mode == "min"
    assert [row.setting for row in comparison.healthy] == [3, 2, 1]
    assert comparison.rows[0].others["eval/rankme"].value == 10
    assert all(row.difference is None for row in comparison.rows)


def test_a_study_without_trials_compares_nothing() -> None:
    comparison = compare(make_study(), [])
    assert comparison.rows == ()


def test_the_terminals_table_has_plain_numbers_and_leaves_out_what_nobody_knows() -> None:
    headers, rows = comparison_table(compare(grid_study(), grid_records()))
    assert headers == [
        "setting", "center_momentum", "teacher_temp", "seeds", "k-NN %", "95 % interval",
        "difference", "95 % interval", "p (Holm)", "collapsed", "verdict",
    ]  # fmt: skip
    assert rows[0][:6] == ["t01 (baseline)", "0.9", "0.04", 3, 28.0, "25.5 to 30.5"]
    assert rows[2][6:] == [
        -17.3,
        "-18.8 to -15.9",
        "0.001",
        "3 of 3",
        "collapsed: single prototype",
    ]
    single: list[TrialRecord] = [trial_record(0, 0, 31.26), trial_record(1, 0, None, None)]
    headers, rows = comparison_table(compare(make_study(), single))
    assert headers == ["setting", "teacher_temp", "seeds", "k-NN %", "collapsed", "verdict"]
    assert rows[1] == ["t02", "0.05", 1, None, None, "interrupted"]
