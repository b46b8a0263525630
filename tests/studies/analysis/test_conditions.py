"""Conditions are found on some units, and asked of any other."""

import pytest

from poise.studies.analysis.conditions import Unit, conditions_of, is_met


def a_unit(**values: object) -> Unit:
    return Unit(values=values, states={}, judged=1, failed=0)


UNITS = [a_unit(temperature=value) for value in (0.02, 0.04, 0.2)]


def test_a_condition_is_made_for_each_way_to_divide_the_units_by_a_threshold() -> None:
    conditions = conditions_of(UNITS)
    assert [(each.test, each.value, each.inside) for each in conditions] == [
        ("at least", 0.04, (False, True, True)),
        ("at most", 0.02, (True, False, False)),
        ("at least", 0.2, (False, False, True)),
        ("at most", 0.04, (True, True, False)),
    ]
    for condition in conditions:
        assert tuple(is_met(condition, unit) for unit in UNITS) == condition.inside


def test_values_that_are_no_numbers_are_compared_one_by_one() -> None:
    units = [a_unit(name=value) for value in ("a", "b", "c", "a")]
    assert [(each.test, each.value, each.inside) for each in conditions_of(units)] == [
        ("is", "a", (True, False, False, True)),
        ("is not", "a", (False, True, True, False)),
        ("is", "b", (False, True, False, False)),
        ("is not", "b", (True, False, True, True)),
        ("is", "c", (False, False, True, False)),
        ("is not", "c", (True, True, False, True)),
    ]


@pytest.mark.parametrize("test", ["at least", "at most"])
@pytest.mark.parametrize("other", [a_unit(momentum=0.9), a_unit(temperature="auto")])
def test_a_unit_without_the_number_is_on_no_side_of_a_threshold(test: str, other: Unit) -> None:
    thresholds = [each for each in conditions_of(UNITS) if each.test == test]
    assert thresholds
    assert not any(is_met(condition, other) for condition in thresholds)
