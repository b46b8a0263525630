import csv
import io
import json
import math
from dataclasses import asdict

import pytest
import yaml

from poise.config import Space
from poise.diagnostics.history import History
from poise.reports.study.csv_table import render_csv
from poise.reports.study.markdown import render_markdown
from poise.reports.study.page import render_page
from poise.studies.analysis.curves import Training, bands_of, curves_of, points_per_curve
from poise.studies.findings.findings import Findings, RunFacts, Winner, find
from poise.studies.records import Change
from tests.studies.builders import TEMPERATURE, make_space, make_study
from tests.studies.samples import (
    CENTER,
    HEALTHY,
    METRIC,
    SINGLE,
    entropy_history,
    grid_records,
    grid_study,
    seeded,
    trial_record,
)

ENTROPY = "teacher/entropy_over_ln_k"


@pytest.fixture(scope="module")
def findings() -> Findings:
    records = grid_records()
    histories = {
        record.trial.name: entropy_history(0.8 if record.trial.setting == 0 else 0.1)
        for record in records
    }
    environment = {"python": "3.11.9", "packages": {"torch": "2.9"}, "host": "secret"}
    study = grid_study(question="Is each enough?", published="No.")
    return find(
        study,
        records,
        histories,
        Winner("t01-s2", "models:/m/1"),
        RunFacts({"poise.dataset_fingerprint": "abc"}, environment),
    )


@pytest.mark.slow
def test_a_study_of_one_change_at_a_time_names_a_setting_by_its_change() -> None:
    """Two settings that were never crossed have no phase diagram."""
    study = grid_study(design="one_at_a_time")
    records = [record for record in grid_records() if record.trial.setting < 3]
    found = find(study, records, {})
    assert [row.label for row in found.comparison.rows] == [
        "the baseline", "teacher_temp=0.2", "center_momentum=1",
    ]  # fmt: skip
    assert "The baseline uses center_momentum=0.9, teacher_temp=0.04." in found.notes
    assert found.phase is None
    assert [dose.held for dose in found.doses] == [("teacher_temp",), ("center_momentum",)]
    collapse, best = found.answer
    assert collapse.startswith("Without sharpening (teacher_temp = 0.2), 3 of 3 trials collapsed")
    assert best.startswith("The best setting is t01 (the baseline). Its k-NN accuracy is 28.0 %")
    for told in (render_markdown(found), render_page(found)):
        assert "The other hyperparameter, teacher_temp, keeps the value of the baseline." in told
        assert "Where training collapses" not in told
        assert "the baseline (baseline)" not in told


def test_findings_hold_everything_that_the_report_tells(findings: Findings) -> None:
    assert findings.question == "Is each enough?" and findings.best == "t01-s2"
    assert len(findings.comparison.rows) == 4 and len(findings.trials) == 12
    assert len(findings.doses) == 2 and findings.phase is not None
    assert findings.selection is not None and findings.cost.steps == 1200
    values = [advice.text.removeprefix("advice") for advice in findings.advice]
    assert values == [" The healthy baseline uses center_momentum=0.9, teacher_temp=0.04."]
    (advice,) = findings.advice
    assert len(advice.settings) == 3 and not advice.trials
    assert findings.trials[11].onset_step == 50 and findings.settings[3].onset_step == 40


def test_findings_are_plain_data(findings: Findings) -> None:
    assert json.loads(json.dumps(asdict(findings), allow_nan=False))["registered"] == "models:/m/1"


def test_a_study_can_be_done_again(findings: Findings) -> None:
    found = findings.reproduction
    assert found.command == "poise ablate tiny.yaml"
    assert found.versions == {"python": "3.11.9", "torch": "2.9"}
    space = Space.model_validate(yaml.safe_load(found.space_yaml))
    assert space == grid_study(question="Is each enough?", published="No.").space
    assert space.parameters[CENTER].values == (0.9, 1.0)


def test_a_settings_mean_over_time_ends_where_its_first_seed_does() -> None:
    # One collapses and is ended; the other trains on, and no mean of it alone seems to recover.
    short: History = [(10, {ENTROPY: 1.0})]
    long: History = [(10, {ENTROPY: 0.5}), (20, {ENTROPY: 0.4}), (30, {ENTROPY: math.nan})]
    (band,) = bands_of([Training(short, 40), Training(long, 40), Training([], 40)], 100)
    assert (band.steps, band.mean, band.low, band.high) == ((10,), (0.75,), (0.5,), (1.0,))
    (rest,) = band.rest
    assert (band.n, rest.steps, rest.values) == (2, (10, 20), (0.5, 0.4))


def test_a_course_is_read_at_shares_of_the_plan_and_where_each_seed_ended() -> None:
    short: History = [(step, {ENTROPY: 1.0}) for step in (10, 20)]
    long: History = [(step, {ENTROPY: step / 100}) for step in range(10, 90, 10)]
    (band,) = bands_of([Training(short, 80), Training(long, 80)], 100)
    assert band.course == ((0.55, 0.1, 1.0), (0.6, 0.2, 1.0), None, (0.9, 0.8, 1.0))
    (unplanned,) = bands_of([Training(long, 0)], 100)
    assert unplanned.course[0] == (0.1, 0.1, 0.1) and unplanned.course[1] is None


def test_curves_are_thinned_out_but_keep_their_ends() -> None:
    history: History = [(step, {ENTROPY: step / 3}) for step in range(1, 1001)]
    (curve,) = curves_of(history, 50)
    assert len(curve.steps) == 50 and (curve.steps[0], curve.steps[-1]) == (1, 1000)
    assert curve.values[0] == 0.33333
    assert curves_of([(1, {ENTROPY: math.inf})], 50)[0].values == (None,)
    assert points_per_curve(1) == 200 and 16 <= points_per_curve(500) < 50


@pytest.mark.slow
def test_500_trials_are_looked_at_in_full() -> None:
    space = make_space({TEMPERATURE: {"uniform": [0, 1]}, CENTER: {"uniform": [0, 1]}}, trials=500)
    metrics = (ENTROPY, "teacher/kl_over_ln_k", "features/rankme", "loss/over_ln_k", METRIC)
    records = [
        trial_record(
            n, 0, 20 + n / 50, SINGLE if n % 2 else HEALTHY,
            {TEMPERATURE: n / 500, CENTER: n * 7 % 500 / 500},
        )
        for n in range(500)
    ]  # fmt: skip
    history: History = [(step, dict.fromkeys(metrics, step / 7)) for step in range(200)]
    found = find(make_study(space), records, {r.trial.name: history for r in records})
    assert sum(len(c.steps) for trial in found.trials for c in trial.curves) < 120_000


def test_an_empty_study_still_has_a_report() -> None:
    found = find(make_study(), [], {})
    assert "No trial has begun." in render_markdown(found)
    assert render_csv(found) == "trial\n"


def test_the_markdown_tells_the_answer_before_anything_else(findings: Findings) -> None:
    text = render_markdown(findings)
    places = [text.index(word) for word in (
        "**Question.** Is each enough?", "**Answer.** All 9 trials without",
        "**Published result.** No.",
        "## Settings compared", "## Where training collapses", "## Training over time",
        "## Effect of each hyperparameter", "## Every trial", "## Cost", "## How to reproduce",
    )]  # fmt: skip
    assert places == sorted(places)
    assert "| t01 (baseline) | 0.9 | 0.04 | 28.0 (25.5 to 30.5)" in text
    assert "collapsed: single prototype, 3 of 3, 10.7" in text
    assert "poise ablate tiny.yaml" in text and "secret" not in text


def test_the_markdowns_tables_are_rectangular(findings: Findings) -> None:
    tables: list[list[str]] = [[]]
    for line in render_markdown(findings).splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    assert len(tables) > 5
    for table in filter(None, tables):
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1, table[0]


def test_a_reason_can_neither_break_the_markdowns_table_nor_begin_a_tag() -> None:
    lost = trial_record(0, 0, None, None, state="failed", reason="a\nb | <module> is none")
    space = make_space(question="Is it\n<b>so</b>?", published="Two\nlines.")
    text = render_markdown(find(make_study(space), [lost], {}))
    assert "| a b \\| &lt;module> is none |" in text
    assert (
        "**Question.** Is it &lt;b>so&lt;/b>?\n" in text
        and "**Published result.** Two lines.\n" in text
    )


def test_a_setting_can_neither_break_the_markdowns_tables_nor_begin_a_tag() -> None:
    records = seeded(0, [20.0], settings={"backbone.name": "a|b\n<img src=x>", TEMPERATURE: 1}) + (
        seeded(1, [30.0], settings={"backbone.name": "c", TEMPERATURE: 1})
    )
    space = make_space(
        {"backbone.name": {"choice": ["c", "a|b\n<img src=x>"]}, TEMPERATURE: {"choice": [1]}}
    )
    text = render_markdown(find(make_study(space), records, {}))
    assert "<img" not in text.partition("```")[0]
    assert "| t01 | a\\|b &lt;img src=x> | 1 | 20.0 |" in text


def test_all_twins_call_an_end_by_the_same_name() -> None:
    stopped = trial_record(0, 0, 20.0, SINGLE, state="stopped", stopped_by="CollapseStopper")
    cut_off = trial_record(1, 0, 20.0, state="stopped", stopped_by="asha")
    found = find(make_study(), [stopped, cut_off], {})
    text, page = render_markdown(found), render_page(found)
    for outcome, by in (("collapsed: single prototype", "CollapseStopper"),
                        ("healthy (stopped early)", "asha")):  # fmt: skip
        assert f"| {outcome} (stopped by {by}) |" in text
        assert f"{outcome} <small>stopped by {by}</small>" in page
    rows = [*csv.DictReader(io.StringIO(render_csv(found)))]
    assert [row["outcome"] for row in rows] == [stopped.outcome, cut_off.outcome]
    assert [row["condemned"] for row in rows] == ["1", ""]  # of the other it is open


def test_what_changed_on_the_way_is_told_with_the_trial() -> None:
    changes = (Change(40, "t02-s0", "/there", {TEMPERATURE: 0.07}),)
    found = find(make_study(), [trial_record(0, 0, 20.0, changes=changes)], {})
    told = f"from step 40 of t02-s0 on: {TEMPERATURE}=0.07"
    assert f"| teacher_temp=0.04 ({told}) | 0 |" in render_markdown(found)
    (row,) = csv.DictReader(io.StringIO(render_csv(found)))
    assert (row["changes"], row[TEMPERATURE]) == (told, "0.04")


def test_the_csv_has_one_row_per_trial_and_one_column_per_fact(findings: Findings) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(findings))))
    assert len(rows) == 12
    assert rows[6] | {
        "trial": "t03-s0", "setting": "3", CENTER: "1.0", TEMPERATURE: "0.04", "seed": "0",
        "state": "finished", "stopped_by": "", "outcome": "collapsed: single prototype",
        "condemned": "1", "onset_step": "30", METRIC: "10.0", "hours": "0.0139",
    } == rows[6]  # fmt: skip


def test_what_is_not_finite_is_an_empty_cell() -> None:
    record = trial_record(0, 0, math.nan)
    (row,) = csv.DictReader(io.StringIO(render_csv(find(make_study(), [record], {}))))
    assert row[METRIC] == ""


def test_what_was_measured_before_training_is_no_result_of_it() -> None:
    both = {METRIC: 39.5, "untrained/knn_top1": 39.5, ENTROPY: 0.9}
    lost = trial_record(0, 0, None, None, state="interrupted", step=16, metrics=both)
    untrained: History = [(0, both), (16, {ENTROPY: 0.9})]
    for history in (untrained, []):
        found = find(make_study(), [lost], {"t01-s0": history})
        assert METRIC not in found.trials[0].metrics and ENTROPY in found.trials[0].metrics
        assert "| interrupted | – | – | 16 |" in render_markdown(found)
        (row,) = csv.DictReader(io.StringIO(render_csv(found)))
        assert row[METRIC] == "" and row["untrained/knn_top1"] == "39.5"
    measured: History = [*untrained, (20, {METRIC: 39.5})]  # which may be the same by chance
    found = find(make_study(), [lost], {"t01-s0": measured})
    assert "| interrupted | – | 39.5 | 16 |" in render_markdown(found)
