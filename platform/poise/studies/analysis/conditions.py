"""Conditions on single settings that split a study's trials into two groups.

In: the settings of trials. Out: every ``Condition`` that holds for some of them. Next:
``poise.studies.analysis.explaining_rule``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

Test = Literal["state", "is", "is not", "at least", "at most"]

_EFFORT: dict[Test, float] = {"state": 0, "is": 1, "at least": 1.1, "at most": 1.1, "is not": 1.2}
"""Effort of reading a condition. Of equally good conditions, the easiest is used."""

_FEWEST_FOR_THRESHOLD = 3
"""Smallest number of distinct numbers for a threshold. With only two, each is named by its value.
"""


class Unit(NamedTuple):
    """Trials that are counted together: a single trial, or all seeds of a setting."""

    values: Mapping[str, Any]
    """Value by dotted key."""

    states: Mapping[str, str]
    """Words for keys whose values have a known meaning: ``without centering``."""

    judged: int
    """Number of trials whose verdict is healthy or a failure."""

    failed: int


@dataclass(frozen=True)
class Condition:
    """Statement about one setting that is true for some units and false for others."""

    key: str
    test: Test
    value: Any
    """Value that the setting is compared with; for a state, its words."""

    values: tuple[Any, ...]
    """Values of the setting for which the statement is true, in order."""

    others: tuple[Any, ...]
    """Values of the setting for which the statement is false, in order."""

    opposite: str
    """Words of the only other state. It is empty for other conditions, or if there are more states.
    """

    inside: tuple[bool, ...]
    """For each unit, whether the statement is true."""

    @property
    def effort(self) -> float:
        """Effort of reading the statement, from 0."""
        return _EFFORT[self.test]


def conditions_of(units: Sequence[Unit]) -> list[Condition]:
    """Makes every condition that splits the units, each with its opposite."""
    found: list[Condition] = []
    for key in dict.fromkeys(key for unit in units for key in unit.values):
        values = [unit.values.get(key) for unit in units]
        words = [unit.states[key] for unit in units if key in unit.states]
        if len(words) == len(units):
            found += _on_states(key, values, words)
        distinct = _distinct(values)
        is_number = all(map(_is_number, distinct))
        if is_number and len(distinct) >= _FEWEST_FOR_THRESHOLD:
            found += _thresholds(key, values, distinct)
        if not is_number or _repeats(values, distinct):
            found += _equalities(key, values, distinct)
    return [each for each in found if any(each.inside) and not all(each.inside)]


def _on_states(key: str, values: Sequence[Any], words: Sequence[str]) -> Iterator[Condition]:
    distinct = list(dict.fromkeys(words))
    for word in distinct:
        others = [each for each in distinct if each != word]
        opposite = others[0] if len(others) == 1 else ""
        yield _condition(key, "state", word, values, [each == word for each in words], opposite)


def _thresholds(key: str, values: Sequence[Any], ordered: Sequence[Any]) -> Iterator[Condition]:
    for below, above in pairwise(ordered):
        yield _condition(key, "at least", above, values, [value >= above for value in values])
        yield _condition(key, "at most", below, values, [value <= below for value in values])


def _equalities(key: str, values: Sequence[Any], distinct: Sequence[Any]) -> Iterator[Condition]:
    for wanted in distinct:
        is_it = [value == wanted for value in values]
        yield _condition(key, "is", wanted, values, is_it)
        if len(distinct) > 2:
            yield _condition(key, "is not", wanted, values, [not each for each in is_it])


def _condition(
    key: str,
    test: Test,
    value: Any,
    values: Sequence[Any],
    inside: Sequence[bool],
    opposite: str = "",
) -> Condition:
    return Condition(
        key=key,
        test=test,
        value=value,
        values=_distinct([v for v, is_in in zip(values, inside, strict=True) if is_in]),
        others=_distinct([v for v, is_in in zip(values, inside, strict=True) if not is_in]),
        opposite=opposite,
        inside=tuple(inside),
    )


def _distinct(values: Sequence[Any]) -> tuple[Any, ...]:
    """Returns distinct values: numbers in ascending order, other values in their given order."""
    if all(map(_is_number, values)):
        return tuple(sorted(set(values)))
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return tuple(found)


def _repeats(values: Sequence[Any], distinct: Sequence[Any]) -> bool:
    """Returns True if values repeat, as listed values do.

    A number drawn from a range occurs only once.
    """
    return 2 * len(distinct) <= len(values) or len(distinct) < _FEWEST_FOR_THRESHOLD


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
