"""Groups the values of a hyperparameter into a few levels, in ascending order.

In: records of trials and the dotted key of a hyperparameter. Out: its levels, with the trials of
each level. Next: ``poise.studies.analysis.dose_response``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

import numpy as np

from poise.config import Space
from poise.studies.labels import plain
from poise.studies.outcomes import figure, is_condemned, is_decided
from poise.studies.records import TrialRecord

Scale = Literal["linear", "log", "ordered"]


_MOST_VALUES = 8
"""Largest number of distinct numbers that each get their own level. More numbers are put into bins.
"""


_FEWEST_DIGITS, _MOST_DIGITS = 2, 7
"""Smallest and largest number of significant digits for the ends of a bin."""


_BINS = 6
"""Number of bins. All bins contain nearly the same number of distinct values."""


_LOG_FROM = 10
"""Smallest ratio of the largest to the smallest value for a logarithmic axis."""


_NARROWEST_GAP = 0.07
"""Smallest distance between two values on an axis, as a share of the axis."""


@dataclass(frozen=True)
class Level:
    """One value of a hyperparameter, or one bin of neighbouring numbers."""

    label: str
    value: Any
    """Value of the hyperparameter. For a bin, it is the median."""

    records: tuple[TrialRecord, ...]


@dataclass(frozen=True)
class Levels:
    """All levels of one hyperparameter."""

    key: str
    scale: Scale
    levels: tuple[Level, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the levels, in order."""
        return tuple(level.label for level in self.levels)

    @property
    def by_trial(self) -> dict[str, int]:
        """Index of the level of each trial, by the trial's name."""
        return {r.trial.name: index for index, lv in enumerate(self.levels) for r in lv.records}


def varied_keys(space: Space, records: Sequence[TrialRecord]) -> list[str]:
    """Returns the dotted keys of hyperparameters with more than one value among the records."""
    return [key for key in space.parameters if len(_distinct(space, key, records)) > 1]


def levels_of(space: Space, key: str, records: Sequence[TrialRecord]) -> Levels:
    """Makes the levels of a hyperparameter: one per value, or six bins of nearly equal size."""
    distinct = _distinct(space, key, records)
    numeric = all(map(_is_number, distinct))
    if numeric and len(distinct) > _MOST_VALUES:
        groups = [each.tolist() for each in np.array_split(np.array(distinct), _BINS)]
    else:
        groups = [[value] for value in distinct]
    levels = tuple(
        Level(
            label,
            group[0] if len(group) == 1 else median(group),
            tuple(r for r in records if r.trial.settings[key] in group),
        )
        for label, group in zip(_labels(groups), groups, strict=True)
    )
    scale = _scale([level.value for level in levels]) if numeric else "ordered"
    return Levels(key, scale, levels)


def _distinct(space: Space, key: str, records: Sequence[TrialRecord]) -> list[Any]:
    """Returns the distinct values: numbers in ascending order, others in the order of the space."""
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


def _labels(groups: Sequence[Sequence[Any]]) -> list[str]:
    """Makes the label of each group of values.

    The ends of bins have the fewest digits that keep neighbouring bins different.
    """
    if all(len(group) == 1 for group in groups):
        return [plain(group[0]) for group in groups]
    ends = [end for group in groups for end in (group[0], group[-1])]
    for digits in range(_FEWEST_DIGITS, _MOST_DIGITS):
        rounded = [float(f"{end:.{digits}g}") for end in ends]
        if all(below < above for below, above in pairwise(rounded[::2])) and all(
            below < above for below, above in pairwise(rounded[1::2])
        ):
            break
    else:
        rounded = ends
    spans = zip(rounded[::2], rounded[1::2], strict=True)
    return [plain(low) if low == high else f"{plain(low)} to {plain(high)}" for low, high in spans]


def _scale(values: Sequence[float]) -> Scale:
    """Returns the scale of an axis on which the values do not overlap.

    The scale is ``linear``, or ``log`` if the values differ by a large factor. If values would
    overlap, the scale is ``ordered``: all distances are equal.
    """
    positions = np.array(values, float)
    is_log = positions[0] > 0 and positions[-1] >= _LOG_FROM * positions[0]
    if is_log:
        positions = np.log(positions)
    gaps = np.diff(positions)
    if len(gaps) and gaps.min() < _NARROWEST_GAP * gaps.sum():
        return "ordered"
    return "log" if is_log else "linear"


def by_importance(space: Space, records: Sequence[TrialRecord]) -> list[tuple[str, float]]:
    """Sorts the hyperparameters by the share of the outcome that each of them alone explains.

    The share is ε² = 1 - (SS_within / (n - k)) / (SS_total / (n - 1)) for a hyperparameter with k
    levels. SS is a sum of squares. ε² is the variance between levels, minus the variance that
    chance alone would give. It is at most 1 and may be below 0. The outcome is whether a trial
    failed. If all or no trials failed, the outcome is the metric. A hyperparameter that matters
    only together with another one is not found. Hyperparameters with equal shares stay in the order
    of the search space.

    Source: Kelley, "An unbiased correlation ratio measure" (PNAS, 1935).
    """
    scored = []
    outcomes = _outcomes(space, records)
    for key in varied_keys(space, records):
        levels = levels_of(space, key, records).levels
        groups = [
            [outcomes[r.trial.name] for r in level.records if r.trial.name in outcomes]
            for level in levels
        ]
        scored.append((key, _explained([np.array(group) for group in groups if group])))
    return sorted(scored, key=lambda each: -each[1])


def _outcomes(space: Space, records: Sequence[TrialRecord]) -> dict[str, float]:
    decided = [record for record in records if is_decided(record)]
    if len({is_condemned(record) for record in decided}) > 1:
        return {record.trial.name: float(is_condemned(record)) for record in decided}
    figures = {record.trial.name: figure(record, space.goal.metric) for record in records}
    return {name: value for name, value in figures.items() if value is not None}


def _explained(groups: Sequence[np.ndarray]) -> float:
    values = np.concatenate(groups) if groups else np.zeros(0)
    n, k = len(values), len(groups)
    total = ((values - values.mean()) ** 2).sum() if n else 0.0
    if n <= k or total == 0:
        return 0.0
    within = sum(((group - group.mean()) ** 2).sum() for group in groups)
    return float(1 - (within / (n - k)) / (total / (n - 1)))
