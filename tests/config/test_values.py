"""Which spellings mean one value."""

from typing import Any

import pytest

from poise.config.values import canonical, same


@pytest.mark.parametrize(
    ("left", "right"),
    [(0.04, "4e-2"), (0.04, "0.040"), (1, "1.0"), (True, "True"), (None, "~"), ([1], ("1",))],
)
def test_text_that_reads_as_a_value_is_another_spelling_of_it(left: Any, right: Any) -> None:
    assert canonical(left) == canonical(right)
    assert not same(left, right), "they are of different kinds"


@pytest.mark.parametrize(
    ("left", "right"), [(1, True), (0, False), (None, ""), ("yes", True), ("[1]", [1]), (0, None)]
)
def test_values_of_different_kinds_are_different_values(left: Any, right: Any) -> None:
    assert canonical(left) != canonical(right)
    assert not same(left, right)


def test_a_whole_number_may_stand_for_a_fraction() -> None:
    assert same(1, 1.0) and same({"a": [1]}, {"a": (1.0,)})
