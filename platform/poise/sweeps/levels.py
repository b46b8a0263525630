"""The values of a setting as few levels, in order.

In: records and a setting's key. Out: its levels with the trials at each. Next:
``poise.sweeps.dose_response``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np

from poise.config import Space
from poise.sweeps.records import TrialRecord
from poise.sweeps.wording import plain

Scale = Literal["linear", "log", "ordered"]

_MOST_VALUES = 8
"""Of a setting that are each a level; of more, neighbours share one."""

_BINS = 6
_LOG_FROM = 10
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""

_NARROWEST_GAP = 0.03
"""Of an axis, between two values that can still be told apart on it."""


@dataclass(frozen=True)
class Level:
    """A value, or a bin of neighbouring ones."""

    label: str
    value: Any
    """Of a bin, the median."""

    records: tuple[TrialRecord, ...]


@dataclass(frozen=True)
class Levels:
    """All values of a setting."""

    key: str
    scale: Scale
    levels: tuple[Level, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """In order."""
        return tuple(level.label for level in self.levels)

    @property
    def by_trial(self) -> dict[str, int]:
        """Each trial's level, by index."""
        return {r.trial.name: index for index, lv in enumerate(self.levels) for r in lv.records}


def varied_keys(space: Space, records: Sequence[TrialRecord]) -> list[str]:
    """The settings that have more than one value among the records."""
    return [key for key in space.parameters if len(_distinct(space, key, records)) > 1]


def levels_of(space: Space, key: str, records: Sequence[TrialRecord]) -> Levels:
    """A setting's levels: each value for itself, or six bins of about as many values each."""
    distinct = _distinct(space, key, records)
    numeric = all(map(_is_number, distinct))
    if numeric and len(distinct) > _MOST_VALUES:
        groups = [each.tolist() for each in np.array_split(np.array(distinct), _BINS)]
    else:
        groups = [[value] for value in distinct]
    levels = tuple(
        Level(
            _label(group),
            group[0] if len(group) == 1 else median(group),
            tuple(r for r in records if r.trial.settings[key] in group),
        )
        for group in groups
    )
    scale = _scale([level.value for level in levels]) if numeric else "ordered"
    return Levels(key, scale, levels)


def _distinct(space: Space, key: str, records: Sequence[TrialRecord]) -> list[Any]:
    """Numbers by size, other values in the order in which the space has them."""
    found: list[Any] = []
    for record in records:
        value = record.trial.settings.get(key)
        if value not in found:
            found.append(value)
    if all(map(_is_number, found)):
        return sorted(found)
    listed = [*(space.parameters[key].values or ())]
    return sorted(found, key=lambda value: listed.index(value) if value in listed else len(listed))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _label(group: Sequence[Any]) -> str:
    return plain(group[0]) if len(group) == 1 else f"{plain(group[0])} to {plain(group[-1])}"


def _scale(values: Sequence[float]) -> Scale:
    """An axis that keeps the values apart; where neither does, they are merely in order."""
    positions = np.array(values, float)
    is_log = positions[0] > 0 and positions[-1] >= _LOG_FROM * positions[0]
    if is_log:
        positions = np.log(positions)
    gaps = np.diff(positions)
    if len(gaps) and gaps.min() < _NARROWEST_GAP * gaps.sum():
        return "ordered"
    return "log" if is_log else "linear"
