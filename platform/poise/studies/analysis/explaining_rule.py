"""Finds the simplest rule on hyperparameters that separates failed from healthy trials.

In: the settings of trials, and the number of failures. Out: a ``Rule``: one condition on one
hyperparameter, or two conditions joined by "and" or "or". Next:
``poise.studies.findings.explanation``, which writes the rule in words.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from poise.studies.analysis.conditions import Condition, Unit, conditions_of

Joined = Literal["", "and", "or"]

_MOST_IN_PAIRS = 120
"""Largest number of conditions that are combined into pairs. If there are more, only the conditions
with the fewest exceptions are combined. Otherwise a large study would take minutes.
"""

_MOST_ARRANGEMENTS = 999
"""Largest number of arrangements of the outcomes in the permutation test. If more exist, random
arrangements are used.
"""

_MOST_ARRANGEMENTS_OF_PAIRS = 199


@dataclass(frozen=True)
class Rule:
    """One or two conditions that are true for most failed trials and for few healthy trials."""

    conditions: tuple[Condition, ...]
    joined: Joined
    """Word between two conditions. It is empty for a rule of one condition."""

    failed_inside: int
    judged_inside: int
    failed_outside: int
    judged_outside: int
    rivals: tuple[Condition, ...]
    """Single conditions on other hyperparameters that have equally few exceptions. It is empty for
    a rule of two conditions.
    """

    num_rival_pairs: int
    """Number of other pairs of hyperparameters whose conditions have equally few exceptions. It is
    0 for a rule of one condition.
    """

    by_chance: float | None = None
    """Share of random arrangements of the outcomes with a rule that is at least as good, 0 to 1.

    It is None if the outcomes of early trials decided which trials ran later. Then arrangements are
    not equally likely, and the test is not valid.
    """

    @property
    def exceptions(self) -> int:
        """Number of trials that the rule classifies wrongly."""
        return self.judged_inside - self.failed_inside + self.failed_outside


class _Found(NamedTuple):
    conditions: tuple[Condition, ...]
    joined: Joined
    exceptions: int


FEWEST_MENDED = 3
"""Smallest number of exceptions that a second condition must remove. In most studies, some
condition removes two exceptions by chance.
"""


def separate(
    units: Sequence[Unit], exchangeable: bool, fewest_mended: int = FEWEST_MENDED
) -> Rule | None:
    """Finds the rule with the fewest exceptions.

    An exception is a trial that the rule classifies wrongly. Among rules with equally few
    exceptions, the easiest to read is used.

    A pair of conditions replaces the best single condition only if two things are true. The pair
    has at most half as many exceptions, and it has at least ``fewest_mended`` exceptions fewer.

    The rule is compared with a guess that does not use hyperparameters. This guess gives every
    trial the more frequent outcome, failed or healthy. The rule must have at most half as many
    exceptions as this guess.

    ``by_chance`` of the rule comes from a permutation test. The test assigns the outcomes to the
    units in many other ways, and searches for the best rule each time. ``by_chance`` says how often
    this rule is at least as good. So it accounts for the number of rules that were tried.

    Source: Westfall and Young, "Resampling-based multiple testing" (1993).

    Args:
        units: trials or settings. Each has at least one trial with a clear verdict.
        exchangeable: whether all units were chosen before any outcome was known.
        fewest_mended: smallest number of exceptions that a second condition must remove, at least
            1.

    Returns:
        The rule. It is None if all or no trials failed, if no hyperparameter varies, or if no rule
        is good enough.
    """
    failed, judged = sum(u.failed for u in units), sum(u.judged for u in units)
    conditions = conditions_of(units)
    if not conditions or failed in (0, judged):
        return None
    weights = np.array([unit.judged - 2 * unit.failed for unit in units], np.float32)
    singles = _singles(conditions, weights, failed)
    pairs = _pairs(conditions, weights, failed) if singles[0].exceptions else []
    is_pair = bool(pairs) and pairs[0].exceptions <= min(
        singles[0].exceptions / 2, singles[0].exceptions - fewest_mended
    )
    tied = pairs if is_pair else singles
    if 2 * tied[0].exceptions > min(failed, judged - failed):
        return None
    rule = _counted(units, tied, is_pair)
    if not exchangeable:
        return rule
    return replace(rule, by_chance=_by_chance(conditions, weights, failed, tied[0]))


def _singles(conditions: Sequence[Condition], weights: np.ndarray, failed: int) -> list[_Found]:
    """Finds the single conditions with the fewest exceptions, the easiest to read first.

    An exception is a healthy trial that meets the condition, or a failed trial that does not. The
    number of exceptions is Σ inside · (judged - 2 · failed) + the number of all failed trials. The
    sum is over units, and ``inside`` is 1 if a unit meets the condition, else 0.
    """
    exceptions = _matrix(conditions) @ weights + failed
    best = [c for c, n in zip(conditions, exceptions, strict=True) if n == exceptions.min()]
    return [_Found((c,), "", int(exceptions.min())) for c in sorted(best, key=lambda c: c.effort)]


def _pairs(conditions: Sequence[Condition], weights: np.ndarray, failed: int) -> list[_Found]:
    """Finds the pairs of conditions with the fewest exceptions, the easiest to read first."""
    few = _for_pairs(conditions, weights)
    both, either = _exceptions_of_pairs(_matrix(few), weights, failed)
    fewest = min(both.min(), either.min())
    tables: tuple[tuple[Joined, np.ndarray], ...] = (("or", either), ("and", both))
    found = [
        _Found((few[i], few[j]), joined, int(fewest))
        for joined, exceptions in tables
        for i, j in zip(*np.nonzero(exceptions == fewest), strict=True)
        if i < j
    ]
    return sorted(found, key=lambda each: sum(c.effort for c in each.conditions))


def _exceptions_of_pairs(
    matrix: np.ndarray, weights: np.ndarray, failed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Counts the exceptions of each pair of conditions, joined by "and" and joined by "or".

    Returns:
        Two arrays [conditions, conditions]: the counts for "and" and the counts for "or".
    """
    both = (matrix * weights) @ matrix.T
    alone = np.diag(both)
    either = alone[:, None] + alone[None, :] - both
    return both + failed, either + failed


def _for_pairs(conditions: Sequence[Condition], weights: np.ndarray) -> list[Condition]:
    if len(conditions) <= _MOST_IN_PAIRS:
        return list(conditions)
    order = np.argsort(_matrix(conditions) @ weights, kind="stable")[:_MOST_IN_PAIRS]
    return [conditions[index] for index in sorted(order)]


def _counted(units: Sequence[Unit], tied: Sequence[_Found], is_pair: bool) -> Rule:
    best, keys = tied[0], {c.key for c in tied[0].conditions}
    join = all if best.joined == "and" else any
    inside = [join(members) for members in zip(*(c.inside for c in best.conditions), strict=True)]
    inner = [unit for unit, is_inside in zip(units, inside, strict=True) if is_inside]
    outer = [unit for unit, is_inside in zip(units, inside, strict=True) if not is_inside]
    others = [each for each in tied if keys.isdisjoint(c.key for c in each.conditions)]
    by_key = {each.conditions[0].key: each.conditions[0] for each in reversed(others)}
    rival_pairs = {frozenset(c.key for c in each.conditions) for each in tied} - {frozenset(keys)}
    return Rule(
        conditions=best.conditions,
        joined=best.joined,
        failed_inside=sum(unit.failed for unit in inner),
        judged_inside=sum(unit.judged for unit in inner),
        failed_outside=sum(unit.failed for unit in outer),
        judged_outside=sum(unit.judged for unit in outer),
        rivals=() if is_pair else tuple(reversed(by_key.values())),
        num_rival_pairs=len(rival_pairs) if is_pair else 0,
    )


def _by_chance(
    conditions: Sequence[Condition], weights: np.ndarray, failed: int, best: _Found
) -> float:
    """Computes the share of arrangements of outcomes with a rule at least as good as ``best``."""
    matrix = _matrix(conditions)
    if not best.joined:
        arranged = np.stack([*_arrangements(weights, _MOST_ARRANGEMENTS)], axis=1)
        return float(((matrix @ arranged).min(0) + failed <= best.exceptions).mean())
    as_good = [
        min(
            (matrix @ each).min() + failed,
            *(table.min() for table in _exceptions_of_pairs(few, each, failed)),
        )
        <= best.exceptions
        for each in _arrangements(weights, _MOST_ARRANGEMENTS_OF_PAIRS)
        for few in (_matrix(_for_pairs(conditions, each)),)
    ]
    return float(np.mean(as_good))


def _arrangements(weights: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Yields arrangements of the units' weights for the permutation test.

    If the weights have two distinct values and few arrangements, all arrangements are used. Else
    random arrangements are used. The observed arrangement is included, so a share is never 0.
    """
    values, counts = np.unique(weights, return_counts=True)
    if len(values) == 2 and math.comb(len(weights), int(counts[0])) <= most:
        for places in combinations(range(len(weights)), int(counts[0])):
            arranged = np.full_like(weights, values[1])
            arranged[list(places)] = values[0]
            yield arranged
        return
    yield weights
    random = np.random.default_rng(0)
    yield from (random.permutation(weights) for _ in range(most))


def _matrix(conditions: Sequence[Condition]) -> np.ndarray:
    """Makes a matrix of 0 and 1 with a row for each condition: float32 [conditions, units]."""
    return np.array([condition.inside for condition in conditions], np.float32)
