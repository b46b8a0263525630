import math
from typing import Any

import pytest

from poise.diagnostics.judge import VerdictKind
from poise.reports.study.terminal_table import comparison_table
from poise.studies.findings.comparison import compare
from poise.studies.records import Change, TrialRecord
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
    assert comparison.condemned_as == "collapsed" and not comparison.notes
    assert [row.setting for row in comparison.healthy] == [0]


def test_the_baseline_is_the_recipes_own_where_the_space_names_none() -> None:
    space = make_space({TEMPERATURE: {"grid_search": [0.04, 0.07]}})
    records = seeded(0, [1.0], settings={TEMPERATURE: 0.07}) + seeded(
        1, [2.0], settings={TEMPERATURE: 0.04}
    )
    assert [row.is_baseline for row in compare(make_study(space), records).rows] == [False, True]


def test_fewer_than_three_seeds_say_that_they_prove_nothing() -> None:
    records = [record for record in grid_records() if record.trial.seed < 2]
    (note,) = compare(grid_study(), records).notes
    assert "All settings have a figure of fewer than 3 seeds" in note and "prove nothing" in note
    assert "Some settings" in compare(grid_study(), grid_records()[:-1]).notes[0]


def test_seeds_count_by_their_figures_not_by_their_trials() -> None:
    # One of three diverged and its k-NN is not a number: the mean is of two.
    records = [*seeded(0, [30.0, 31.0, 32.0]), *seeded(1, [20.0, 21.0])]
    records.append(trial_record(1, 2, math.nan, VerdictKind.DIVERGED))
    comparison = compare(make_study(), records)
    assert "Some settings have a figure of fewer than 3 seeds" in comparison.notes[0]
    assert (
        "1 of 6 trials that ended have no k-NN (t02-s2): they are in no mean."
        in (comparison.notes[1])
    )
    _, (name, _, seeds, _, interval, _, difference, *_) = comparison_table(comparison)[1]
    assert (name, seeds) == ("t02", 3)
    assert interval == "14.1 to 26.9, n = 2" and difference == "-10.0 to -10.0, n = 2"


def test_seeds_that_are_not_the_baselines_say_that_differences_prove_nothing() -> None:
    others = [trial_record(1, seed, 20.0 + seed) for seed in (2, 3, 4)]
    (note,) = compare(make_study(), [*seeded(0, [30.0, 31.0, 32.0]), *others]).notes
    assert note.startswith("All differences to the baseline are of fewer than 3 seeds")


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
    assert any("Differences have no p-value: scheduler asha" in n for n in comparison.notes)
    assert any(
        "In 1 of 2 settings the mean is the mean of the survivors" in n for n in comparison.notes
    )


def test_a_searcher_may_suggest_the_baseline_twice() -> None:
    again = {TEMPERATURE: 0.04}
    records = seeded(0, [20.0, 21.0, 22.0]) + seeded(1, [20.5, 21.5, 22.0], settings=again)
    space = make_space(seeds=[0, 1, 2], searcher={"name": "optuna"})
    first, second = compare(make_study(space), records).rows
    assert first.is_baseline and second.is_baseline and second.difference is None


def test_where_nothing_is_left_no_mean_is_said_to_be_of_it() -> None:
    (_, note) = compare(make_study(), [trial_record(0, 0, None, None, state="failed")]).notes
    assert note == "1 of 1 trials failed (t01-s0): none is left to compare."


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
    assert any("1 of 4 trials were stopped before their end" in n for n in comparison.notes)


def test_condemned_trials_that_ended_early_are_said_to_measure_time_as_well() -> None:
    early: dict[str, Any] = {"step": 40, "stopped_by": "CollapseStopper", "state": "stopped"}
    records = seeded(0, [30.0, 31.0, 32.0]) + seeded(1, [10.0, 11.0, 12.0], SINGLE, **early)
    diverged = trial_record(1, 3, 9.0, VerdictKind.DIVERGED, step=30)  # ended by itself
    notes = compare(make_study(), [*records, diverged]).notes
    assert any(
        note.startswith("Figures of 4 trials are of fewer steps than planned: they were condemned")
        for note in notes
    )
    lasting = seeded(1, [10.0, 11.0, 12.0], SINGLE)
    unmeasured = trial_record(1, 3, None, SINGLE, **early)
    assert not any(
        "fewer steps" in note
        for note in compare(make_study(), [*records[:3], *lasting, unmeasured]).notes
    )


def test_settings_that_changed_on_the_way_are_said_to_be_the_first_ones() -> None:
    change = Change(40, "t01-s0", "/there", {TEMPERATURE: 0.04})
    records = [*seeded(0, [30.0, 31.0, 32.0]), trial_record(1, 0, 29.0, changes=(change,))]
    notes = compare(make_study(), records).notes
    assert any("each trial began with" in n and "settings of 1 of 4 trials" in n for n in notes)


def test_a_setting_that_always_differs_alike_still_counts_as_a_comparison() -> None:
    baseline = seeded(0, [20.0, 21.0, 22.0], settings={TEMPERATURE: 0.04})
    alike, other = seeded(1, [21.0, 22.0, 23.0]), seeded(2, [23.0, 24.1, 25.0])
    alone = trial_record(3, 0, 20.0)  # of one seed nothing can be tested
    _, same, found, _ = compare(make_study(), [*baseline, *alike, *other, alone]).rows
    assert same.difference is not None and same.difference.p_holm is None
    assert found.difference is not None and found.difference.p is not None
    assert found.difference.p_holm == pytest.approx(2 * found.difference.p)


def test_a_collapsed_setting_with_the_best_figure_is_pointed_out() -> None:
    records = seeded(0, [25.0, 26.0, 27.0]) + seeded(1, [30.0, 31.0, 29.0], SINGLE)
    notes = compare(make_study(), records).notes
    assert any("teacher_temp=0.05 has the best k-NN of all (30.0 %)" in note for note in notes)


def test_the_figure_before_training_is_told() -> None:
    metrics = {METRIC: 30.0, "untrained/knn_top1": 26.2}
    comparison = compare(make_study(), [trial_record(0, 0, metrics=metrics)])
    assert comparison.untrained == (26.2,)
    assert "Before training, k-NN is 26.2 %." in comparison.notes


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


def test_settings_that_differ_before_training_are_not_averaged() -> None:
    records = [
        trial_record(n, 0, metrics={METRIC: 30.0, "untrained/knn_top1": 26.2 + 8 * n})
        for n in range(2)
    ]
    assert "Before training, k-NN is 26.2 to 34.2 %, by setting." in (
        compare(make_study(), records).notes
    )


def test_a_study_without_trials_compares_nothing() -> None:
    comparison = compare(make_study(), [])
    assert comparison.rows == () and comparison.notes == ()


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
