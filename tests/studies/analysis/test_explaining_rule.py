"""The rule that tells failed trials from healthy ones."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.studies.analysis.conditions import Unit, conditions_of
from poise.studies.analysis.explaining_rule import Rule, separate


def units(rows: list[tuple[dict[str, Any], bool]]) -> list[Unit]:
    return [Unit(values, {}, 1, int(failed)) for values, failed in rows]


def found(rows: list[tuple[dict[str, Any], bool]]) -> Rule:
    rule = separate(units(rows), exchangeable=True)
    assert rule is not None
    return rule


def told(rule: Rule) -> list[tuple[str, str, Any]]:
    return [(each.key, each.test, each.value) for each in rule.conditions]


def test_a_single_value_that_separates_is_found() -> None:
    rows = [({"a": a, "b": b}, a == "x") for a in "xyz" for b in range(4)]
    rule = found(rows)
    assert told(rule) == [("a", "is", "x")]
    assert (rule.failed_inside, rule.judged_inside) == (4, 4)
    assert (rule.failed_outside, rule.judged_outside) == (0, 8)
    assert rule.exceptions == 0 and rule.rivals == ()
    assert rule.by_chance is not None and rule.by_chance < 0.05


def test_a_threshold_lies_between_two_values_that_were_tried() -> None:
    generator = random.Random(0)
    rows = [({"a": a, "b": generator.random()}, a > 12) for a in range(30)]
    rule = found(rows)
    assert told(rule) == [("a", "at least", 13)]
    assert rule.conditions[0].others[-1] == 12


@pytest.mark.parametrize(
    ("joined", "fails"),
    [("or", lambda a, b: a == 1 or b == 1), ("and", lambda a, b: a == 1 and b == 1)],
)
def test_two_settings_are_joined_where_one_does_not_do(joined: str, fails: Any) -> None:
    rows = [({"a": a, "b": b, "c": c}, fails(a, b)) for a in (0, 1) for b in (0, 1)
            for c in range(4)]  # fmt: skip
    rule = found(rows)
    assert rule.joined == joined and rule.exceptions == 0
    assert told(rule) == [("a", "is", 1), ("b", "is", 1)]


def test_a_range_is_two_thresholds_of_one_setting() -> None:
    rule = found([({"a": a}, 8 <= a <= 14) for a in range(24)])
    assert rule.joined == "and"
    assert sorted(told(rule)) == [("a", "at least", 8), ("a", "at most", 14)]


def test_exceptions_are_counted_on_both_sides() -> None:
    rows = [({"a": n % 2, "b": n}, n % 2 == 1) for n in range(40)]
    rows[0] = (rows[0][0], True)
    rows[21] = (rows[21][0], False)
    rule = found(rows)
    assert told(rule) == [("a", "is", 1)] and rule.exceptions == 2
    assert (rule.failed_inside, rule.failed_outside) == (19, 1)


def test_a_second_condition_is_not_taken_for_a_few_exceptions_alone() -> None:
    rows = [({"a": n % 2, "b": n}, n % 2 == 1 or n == 0) for n in range(40)]
    assert told(found(rows)) == [("a", "is", 1)]
    eager = separate(units(rows), exchangeable=True, fewest_mended=1)
    assert eager is not None and len(eager.conditions) == 2


def test_a_setting_that_always_changed_along_is_a_rival() -> None:
    rule = found([({"a": n % 2, "b": "xy"[n % 2], "c": n}, n % 2 == 1) for n in range(12)])
    assert [each.key for each in rule.rivals] == ["b"]


def test_outcomes_that_no_setting_decides_have_no_rule() -> None:
    generator = random.Random(1)
    rows = [({"a": generator.random(), "b": generator.randrange(3)}, generator.random() < 0.5)
            for _ in range(60)]  # fmt: skip
    assert separate(units(rows), exchangeable=True) is None


def test_nothing_is_explained_where_all_or_none_failed_or_nothing_varied() -> None:
    for failed in (True, False):
        assert separate(units([({"a": n}, failed) for n in range(4)]), exchangeable=True) is None
    assert separate(units([({"a": 1}, n > 1) for n in range(4)]), exchangeable=True) is None
    assert separate([], exchangeable=True) is None


def test_four_settings_prove_no_rule_and_a_study_that_adapts_has_no_chance() -> None:
    rows = [({"a": a, "b": b}, a == 1) for a in (0, 1) for b in (0, 1)]
    assert found(rows).by_chance == pytest.approx(4 / 6)  # a, b, and their opposites, of 6
    rule = separate(units(rows), exchangeable=False)
    assert rule is not None and rule.by_chance is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_random_outcomes_are_rarely_called_more_than_chance(seed: int) -> None:
    """At most 1 of 20 in the long run; here no seed gives less than a few per thousand."""
    generator = random.Random(seed)
    rows = [({"a": generator.random(), "b": generator.randrange(2)}, generator.random() < 0.5)
            for _ in range(8)]  # fmt: skip
    rule = separate(units(rows), exchangeable=True)
    if rule is not None:
        assert rule.by_chance is not None and 0 < rule.by_chance <= 1


def test_random_outcomes_give_a_sure_rule_in_at_most_one_study_of_20() -> None:
    generator, sure, studies = random.Random(0), 0, 200
    for _ in range(studies):
        failed = [n % 2 == 0 for n in range(10)]
        generator.shuffle(failed)
        rows = [({"a": generator.random(), "b": generator.random()}, each) for each in failed]
        rule = separate(units(rows), exchangeable=True)
        sure += rule is not None and rule.by_chance is not None and rule.by_chance < 0.05
    assert sure <= 0.08 * studies


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("xyz"), st.booleans()), min_size=1,
                max_size=12))  # fmt: skip
def test_every_condition_splits_the_trials_and_has_its_opposite(
    rows: list[tuple[int, str, bool]],
) -> None:
    found = conditions_of([Unit({"a": a, "b": b}, {}, 1, int(c)) for a, b, c in rows])
    sides = {each.inside for each in found}
    for each in found:
        assert any(each.inside) and not all(each.inside)
        assert tuple(not is_inside for is_inside in each.inside) in sides
        assert not set(each.values) & set(each.others)
