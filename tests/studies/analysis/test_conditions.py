"""Conditions are found on some units, and asked of any other."""

import pytest

from poise.studies.analysis.conditions import Unit, conditions_of, is_met


def a_unit(**values: object) -> Unit:
    return Unit(values=values, states={}, judged=1, failed=0)


UNITS = [a_unit(temperature=value) for value in (0.02, 0.04, 0.2)]


def test_a_condition_holds_for_the_units_that_it_was_made_of_as_it_says() -> None:
    for condition in conditions_of(UNITS):
        assert tuple(is_met(condition, unit) for unit in UNITS) == condition.inside


@pytest.mark.parametrize("test", ["at least", "at most"])
@pytest.mark.parametrize("other", [a_unit(momentum=0.9), a_unit(temperature="auto")])
def test_a_unit_without_the_number_is_on_no_side_of_a_threshold(test: str, other: Unit) -> None:
    thresholds = [each for each in conditions_of(UNITS) if each.test == test]
    assert thresholds
    assert not any(is_met(condition, other) for condition in thresholds)
