"""The simplest rule over settings that tells failed trials from healthy ones.

In: the settings of trials, and how many of them failed. Out: a ``Rule``: one condition on one
setting, or two joined by "and" or "or". Next: ``poise.studies.findings.explanation``, which says
it in words.
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
"""Conditions that pairs are made of; of more, the best ones, or a large study takes minutes."""

_MOST_ARRANGEMENTS = 999
"""Arrangements of the outcomes that are tried: all of them, or this many random ones."""

_MOST_ARRANGEMENTS_OF_PAIRS = 199


@dataclass(frozen=True)
class Rule:
    """One or two conditions that hold for the failed trials and for few others."""

    conditions: tuple[Condition, ...]
    joined: Joined
    """How two conditions are joined; empty for one."""

    failed_inside: int
    judged_inside: int
    failed_outside: int
    judged_outside: int
    rivals: tuple[Condition, ...]
    """Conditions on other settings with as few exceptions; empty for a rule of two conditions."""

    num_rival_pairs: int
    """Pairs of other settings with as few exceptions; 0 for a rule of one condition."""

    by_chance: float | None = None
    """How often some rule does as well when the outcomes are arranged at random, from 0 to 1.

    None where earlier outcomes decided what was tried later: then no arrangement is as likely as
    any other.
    """

    @property
    def exceptions(self) -> int:
        """Trials that the rule gets wrong."""
        return self.judged_inside - self.failed_inside + self.failed_outside


class _Found(NamedTuple):
    conditions: tuple[Condition, ...]
    joined: Joined
    exceptions: int


FEWEST_MENDED = 3
"""Exceptions that a second condition must explain: in most studies some condition explains two."""


def separate(
    units: Sequence[Unit], exchangeable: bool, fewest_mended: int = FEWEST_MENDED
) -> Rule | None:
    """The rule with the fewest exceptions; of equally good ones the easiest to read.

    Two conditions are taken only where they leave at most half the exceptions that one leaves, and
    at least ``fewest_mended`` fewer. A rule must leave at most half the exceptions of
    no rule, which takes every trial for the more frequent of the two outcomes.

    ``by_chance`` repeats the same search on the outcomes in other orders, so it is corrected for
    the number of rules that were tried.

    Source: Westfall and Young, "Resampling-based multiple testing" (1993).

    Args:
        units: trials or settings, each with at least one judged trial.
        exchangeable: whether all units were chosen before any outcome was known.
        fewest_mended: exceptions that a second condition must explain, at least 1.

    Returns:
        None where all failed or none, where nothing varies, or where no rule is good enough.
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
    """The conditions with the fewest exceptions, the easiest first.

    A condition is wrong about the healthy trials inside and the failed ones outside, which are
    Σ inside (judged - 2 · failed) + all that failed.
    """
    exceptions = _matrix(conditions) @ weights + failed
    best = [c for c, n in zip(conditions, exceptions, strict=True) if n == exceptions.min()]
    return [_Found((c,), "", int(exceptions.min())) for c in sorted(best, key=lambda c: c.effort)]


def _pairs(conditions: Sequence[Condition], weights: np.ndarray, failed: int) -> list[_Found]:
    """The pairs with the fewest exceptions, the easiest first."""
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
    """For each two conditions: trials that both of them, or either of them, get wrong."""
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
    """The share of arrangements of the outcomes that some rule splits as well as ``best``."""
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
    """Returns all distinct orders if one kind of weight is placed and they are few; else random.

    The first is the order that was seen, so that a share of them is never 0.
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
    """A row of 0 and 1 for each condition: float32 [conditions, units]."""
    return np.array([condition.inside for condition in conditions], np.float32)
