"""Conditions that split a study's trials into two groups by the value of one hyperparameter.

In: the settings of trials. Out: every ``Condition`` that is true for some trials and false for
others. Next: ``poise.studies.analysis.explaining_rule``.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

Test = Literal["state", "is", "is not", "at least", "at most"]

_EFFORT: dict[Test, float] = {"state": 0, "is": 1, "at least": 1.1, "at most": 1.1, "is not": 1.2}
"""Rank of each kind of condition by how hard it is to read. Among equally good conditions, the
easiest is used.
"""

_COMPARES: dict[Test, Callable[[Any, Any], Any]] = {
    "state": operator.eq,
    "is": operator.eq,
    "is not": operator.ne,
    "at least": operator.ge,
    "at most": operator.le,
}
"""Maps each kind of condition to the function that compares a unit's value with the condition's."""

_FEWEST_FOR_THRESHOLD = 3
"""Smallest number of distinct values for a condition such as "at least 0.04". With only two values,
the condition is "is 0.04".
"""


class Unit(NamedTuple):
    """Trials that are counted together: one trial, or all trials of a setting."""

    values: Mapping[str, Any]
    """Value of each hyperparameter, by dotted key."""

    states: Mapping[str, str]
    """Maps the dotted key of a hyperparameter to the phrase for its value: ``without centering``.
    Values without a known meaning are left out.
    """

    judged: int
    """Number of trials with a clear verdict: healthy or failed."""

    failed: int


@dataclass(frozen=True)
class Condition:
    """Condition on one hyperparameter. It is true for some units and false for others."""

    key: str
    test: Test
    value: Any
    """Value in the condition, such as 0.04 in "at least 0.04". If the condition is a phrase such as
    "without centering", it is this phrase.
    """

    values: tuple[Any, ...]
    """Values of the hyperparameter for which the condition is true, in order."""

    others: tuple[Any, ...]
    """Values of the hyperparameter for which the condition is false, in order."""

    opposite: str
    """Phrase for the opposite, such as "with centering". It is empty if the condition is not a
    phrase, or if there are several opposites.
    """

    inside: tuple[bool, ...]
    """Whether the condition is true for each unit, in the order of the units."""

    @property
    def effort(self) -> float:
        """Rank of the condition by how hard it is to read. 0 is the easiest."""
        return _EFFORT[self.test]


def is_met(condition: Condition, unit: Unit) -> bool:
    """Returns True if a unit meets a condition.

    The unit need not be one of the units from which the condition was made. If the unit has no
    number for the hyperparameter, it meets neither "at least" nor "at most".
    """
    found = (unit.states if condition.test == "state" else unit.values).get(condition.key)
    if condition.test in ("at least", "at most") and not _is_number(found):
        return False
    return bool(_COMPARES[condition.test](found, condition.value))


def conditions_of(units: Sequence[Unit]) -> list[Condition]:
    """Makes every condition that is true for some units and false for others."""
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
        yield _condition(key, "state", word, values, words, opposite)


def _thresholds(key: str, values: Sequence[Any], ordered: Sequence[Any]) -> Iterator[Condition]:
    for below, above in pairwise(ordered):
        yield _condition(key, "at least", above, values, values)
        yield _condition(key, "at most", below, values, values)


def _equalities(key: str, values: Sequence[Any], distinct: Sequence[Any]) -> Iterator[Condition]:
    for wanted in distinct:
        yield _condition(key, "is", wanted, values, values)
        if len(distinct) > 2:
            yield _condition(key, "is not", wanted, values, values)


def _condition(
    key: str,
    test: Test,
    value: Any,
    values: Sequence[Any],
    compared: Sequence[Any],
    opposite: str = "",
) -> Condition:
    inside = [bool(_COMPARES[test](each, value)) for each in compared]
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
    """Returns the distinct values.

    Numbers are in ascending order, other values in the given order.
    """
    if all(map(_is_number, values)):
        return tuple(sorted(set(values)))
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return tuple(found)


def _repeats(values: Sequence[Any], distinct: Sequence[Any]) -> bool:
    """Returns True if values occur several times, as values from a list do.

    If a number was sampled from a range, it usually occurs only once.
    """
    return 2 * len(distinct) <= len(values) or len(distinct) < _FEWEST_FOR_THRESHOLD


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
