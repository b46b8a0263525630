from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.reports.page.outcome_styles import look
from poise.studies.analysis.dose_response import dose_responses
from poise.studies.analysis.levels import by_importance, levels_of, varied_keys
from poise.studies.analysis.phase_diagram import phase_diagram
from poise.studies.records import TrialRecord
from tests.studies.builders import TEMPERATURE, make_space
from tests.studies.samples import (
    CENTER,
    HEALTHY,
    SINGLE,
    grid_records,
    grid_study,
    seeded,
    trial_record,
)

RANGE = make_space({TEMPERATURE: {"uniform": [0.0, 1.0]}})
REGISTERS = "backbone.num_registers"


def with_values(values: list[Any], key: str = TEMPERATURE) -> list[TrialRecord]:
    return [trial_record(n, 0, 20.0, settings={key: value}) for n, value in enumerate(values)]


def test_a_dose_pools_every_other_setting() -> None:
    center, temperature = dose_responses(grid_study().space, grid_records())
    assert (center.name, center.pooled) == ("center_momentum", ("teacher_temp",))
    with_center, without = center.doses
    assert with_center.metric.value == pytest.approx((27 + 28 + 29 + 20 + 21.5 + 21) / 6)
    assert (with_center.condemned.count, with_center.condemned.n) == (3, 6)
    assert (without.condemned.count, without.label, without.value) == (6, "1", 1.0)
    assert temperature.pooled == ("center_momentum",)


def test_of_one_change_at_a_time_a_dose_leaves_the_others_as_in_the_baseline() -> None:
    baseline = {CENTER: 0.9, TEMPERATURE: 0.04}
    center, _ = dose_responses(grid_study().space, grid_records(), baseline)
    assert (center.pooled, center.held) == ((), ("teacher_temp",))
    assert [dose.trials for dose in center.doses] == [
        ("t01-s0", "t01-s1", "t01-s2"), ("t03-s0", "t03-s1", "t03-s2"),
    ]  # fmt: skip


def test_a_phase_diagram_has_a_cell_for_each_pair_of_values() -> None:
    diagram = phase_diagram(grid_study().space, grid_records())
    assert diagram is not None and diagram.y is not None
    assert diagram.x.labels == ("0.9", "1") and diagram.y.labels == ("0.04", "0.2")
    outcomes = {(cell.x, cell.y): cell.outcome for cell in diagram.cells}
    assert outcomes == {
        (0, 0): "healthy",
        (0, 1): "collapsed: uniform",
        (1, 0): "collapsed: single prototype",
        (1, 1): "collapsed: uniform",
    }
    assert diagram.cells[0].metric.value == 28 and diagram.chosen_because == ""


def test_a_single_setting_has_a_diagram_of_one_row() -> None:
    diagram = phase_diagram(RANGE, with_values([0.1, 0.2]))
    assert diagram is not None and diagram.y is None and len(diagram.cells) == 2
    assert phase_diagram(RANGE, with_values([0.1, 0.1])) is None
    assert phase_diagram(RANGE, []) is None


def test_what_a_scheduler_stopped_neither_is_healthy_nor_looks_so() -> None:
    stopped = trial_record(0, 0, 20.0, settings={TEMPERATURE: 0.1}, state="stopped")
    diagram = phase_diagram(RANGE, [stopped, *with_values([0.1, 0.2])[1:]])
    assert diagram is not None
    early, healthy = diagram.cells
    assert (early.outcome, early.condemned.n) == ("healthy (stopped early)", 0)
    assert look(early.outcome) != look(healthy.outcome)


def test_a_draw_between_outcomes_goes_to_the_worse() -> None:
    records = seeded(0, [20.0, 20.0]) + seeded(1, [20.0], settings={TEMPERATURE: 0.9})
    records[1] = trial_record(0, 1, 10.0, SINGLE)
    diagram = phase_diagram(RANGE, records)
    assert diagram is not None and diagram.cells[0].outcome == SINGLE


def test_of_three_settings_the_two_that_explain_most_are_shown() -> None:
    space = make_space(
        {
            REGISTERS: {"choice": [0, 4]},
            CENTER: {"choice": [0.9, 1]},
            TEMPERATURE: {"choice": [0.04, 0.2]},
        }
    )
    records, setting = [], 0
    for registers in (0, 4):
        for center in (0.9, 1):
            for temperature in (0.04, 0.2):
                settings = {REGISTERS: registers, CENTER: center, TEMPERATURE: temperature}
                kind = SINGLE if center == 1 or temperature == 0.2 else HEALTHY
                records.append(trial_record(setting, 0, 20.0, kind, settings))
                setting += 1
    (first, most), (second, _), (last, least) = by_importance(space, records)
    assert {first, second} == {CENTER, TEMPERATURE} and last == REGISTERS
    # 3/4 are condemned: SS 1.5 in total, 1 within a centering: 1 - (1/6) / (1.5/7) = 2/9.
    assert most == pytest.approx(2 / 9) and least < 0
    diagram = phase_diagram(space, records)
    assert diagram is not None and diagram.pooled == ("num_registers",)
    assert diagram.chosen_because.startswith(
        "These hyperparameters explain the largest shares of the variance of the outcome: "
        "center_momentum 22 % and teacher_temp 22 %. Here, the outcome is whether a trial failed."
    )
    by_center = [
        trial_record(n, 0, 20.0, SINGLE if r.trial.settings[CENTER] == 1 else HEALTHY,
                     r.trial.settings)
        for n, r in enumerate(records)
    ]  # fmt: skip
    alone = phase_diagram(space, by_center)
    assert alone is not None and alone.y is None and alone.x.name == "center_momentum"
    assert alone.pooled == ("num_registers", "teacher_temp")
    assert alone.chosen_because.startswith(
        "center_momentum alone explains 100 % of the variance of the outcome. Here, the outcome is"
    )


def test_many_values_share_six_bins() -> None:
    found = levels_of(RANGE, TEMPERATURE, with_values([n / 100 for n in range(60, 0, -1)]))
    assert found.labels[0] == "0.01 to 0.1" and len(found.levels) == 6
    assert found.levels[0].value == pytest.approx(0.055)
    assert [len(level.records) for level in found.levels] == [10] * 6


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_every_trial_is_at_exactly_one_level(values: list[int]) -> None:
    records = with_values([value / 40 for value in values])
    found = levels_of(RANGE, TEMPERATURE, records)
    names = [record.trial.name for level in found.levels for record in level.records]
    assert sorted(names) == sorted(record.trial.name for record in records)
    assert set(found.by_trial.values()) == set(range(len(found.levels)))
    assert sorted(level.value for level in found.levels) == [lv.value for lv in found.levels]


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.04, 0.07, 0.1], "linear"),
        ([1e-4, 1e-3, 1e-2], "log"),
        ([0.0, 0.9, 0.99, 0.999, 1.0], "ordered"),
        ([True, False], "ordered"),
        (["dino", "mae"], "ordered"),
        ([None, 3], "ordered"),
    ],
)
def test_an_axis_keeps_its_values_apart(values: list[Any], scale: str) -> None:
    space = make_space({TEMPERATURE: {"choice": values}})
    found = levels_of(space, TEMPERATURE, with_values(values[::-1]))
    assert found.scale == scale
    assert [level.value for level in found.levels] == values


def test_a_setting_of_one_value_does_not_vary() -> None:
    assert varied_keys(RANGE, with_values([0.1, 0.1])) == []
