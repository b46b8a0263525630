"""Decides how each trial ended, and which of its values may be compared.

In: records of trials. Out: outcomes in words, shares, comparable values and the best trials. Next:
``poise.studies.findings.comparison`` and its neighbours.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Self

from poise.config.metrics import Mode, before_training
from poise.config.space import Goal
from poise.config.wording import unit
from poise.diagnostics.history import History
from poise.diagnostics.judge import NOT_CONDEMNED, VerdictKind
from poise.studies.analysis.intervals import (
    Estimate,
    Share,
    is_figure,
    mean_interval,
    share_interval,
)
from poise.studies.records import TrialRecord

FAILURES = tuple(kind for kind in VerdictKind if kind not in NOT_CONDEMNED)
"""Verdicts of failed trials, such as a collapse. The worst verdict is first."""

_WORST_FIRST = (*FAILURES, *reversed(NOT_CONDEMNED))


class FailureVerb(StrEnum):
    """Verb for the failed trials of a study. Its text is the past tense."""

    COLLAPSED = "collapsed", "collapse"
    FORGOT = "forgot", "forget"
    FAILED_TO_LEARN = "failed to learn", "fail to learn"
    """Verb for several kinds of failure."""

    infinitive: str
    """Form after "would"."""

    def __new__(cls, past: str, infinitive: str) -> Self:
        """Makes a verb from its two forms."""
        verb = str.__new__(cls, past)
        verb._value_, verb.infinitive = past, infinitive
        return verb


def tally(records: Iterable[TrialRecord]) -> dict[str, int]:
    """Counts the trials with each outcome, the most frequent outcome first.

    Of equally frequent outcomes, the worse one comes first.
    """
    counts = Counter(record.outcome for record in records)
    return {each: counts[each] for each in sorted(counts, key=lambda o: (-counts[o], _badness(o)))}


def is_condemned(record: TrialRecord) -> bool:
    """Returns True if a trial failed: it collapsed, got stuck or diverged."""
    return record.verdict is not None and record.verdict.condemned


def is_healthy(record: TrialRecord) -> bool:
    """Returns True if a trial's verdict is healthy."""
    return record.verdict is not None and record.verdict.kind is VerdictKind.HEALTHY


def was_cut_off(record: TrialRecord) -> bool:
    """Returns True if a scheduler stopped a trial that had not failed.

    How this trial would have ended is unknown.
    """
    return record.state == "stopped" and not is_condemned(record)


def is_decided(record: TrialRecord) -> bool:
    """Returns True if a trial has a clear verdict: it failed, or it was healthy to its end."""
    return is_condemned(record) or (record.state == "finished" and is_healthy(record))


def condemned_share(records: Iterable[TrialRecord]) -> Share:
    """Computes the share of failed trials among the trials with a clear verdict.

    It has no interval if a scheduler stopped trials early. Most stopped trials would have stayed
    healthy, but stopped trials are not counted. Failures are counted at any step. So the share is
    too high.
    """
    records = list(records)
    decided = [record for record in records if is_decided(record)]
    share = share_interval(sum(map(is_condemned, decided)), len(decided))
    return replace(share, low=None, high=None) if any(map(was_cut_off, records)) else share


def is_complete(record: TrialRecord) -> bool:
    """Returns True if a trial's values may be compared with those of other trials.

    This is the case if a trial trained to its end or failed. If a scheduler stopped a trial, its
    values come from fewer steps. A mean of both kinds would depend on the training time.
    """
    return record.state in ("finished", "stopped") and not was_cut_off(record)


def best_of(records: Iterable[TrialRecord], metric: str, mode: Mode) -> TrialRecord | None:
    """Finds the best healthy trial that trained to its end. Returns None if there is no such trial.

    A trial that was stopped early is left out, because its verdict is only about its first steps.
    """
    candidates = [
        record
        for record in records
        if record.state == "finished"
        and is_healthy(record)
        and is_figure(record.metrics.get(metric))
    ]
    sign = 1 if mode == "max" else -1
    return max(candidates, key=lambda record: sign * record.metrics[metric], default=None)


def figure(record: TrialRecord, metric: str) -> float | None:
    """Returns a trial's value of a metric if it may be compared, else None."""
    value = record.metrics.get(metric)
    return value if is_figure(value) and is_complete(record) else None


def mean_of(metric: str, values: Iterable[float | None]) -> Estimate:
    """Computes the mean of a metric's values, and its interval.

    The interval of a percentage stays between 0 and 100.
    """
    return mean_interval(values, (0, 100)) if unit(metric) else mean_interval(values)


def trained_metrics(record: TrialRecord, history: History) -> dict[str, float]:
    """Returns the metrics of a trial without those that were measured only before training.

    The evaluation before the first step is logged as ``eval/``, and also as ``untrained/`` or
    ``start/``. If a trial ended before its next evaluation, its ``eval/`` metrics say nothing about
    training.
    """
    return {
        name: value
        for name, value in record.metrics.items()
        if (before := before_training(record.metrics, name)) is None
        or _is_of_training(record, history, name, value != before[1])
    }


def _is_of_training(record: TrialRecord, history: History, metric: str, has_changed: bool) -> bool:
    steps = [step for step, seen in history if metric in seen]
    return max(steps) > 0 if steps else record.step > 0 and has_changed


def condemned_as(records: Sequence[TrialRecord]) -> FailureVerb:
    """Returns a verb for all failed trials."""
    verdicts = [record.verdict for record in records if record.verdict and record.verdict.condemned]
    if all(verdict.collapsed for verdict in verdicts):
        return FailureVerb.COLLAPSED
    only_forgot = all(verdict.kind is VerdictKind.FORGETTING for verdict in verdicts)
    return FailureVerb.FORGOT if only_forgot else FailureVerb.FAILED_TO_LEARN


def _badness(word: str) -> int:
    words, kind = [str(each) for each in _WORST_FIRST], word.partition(" (")[0]
    return words.index(kind) if kind in words else len(words)


def pareto_front(records: Sequence[TrialRecord], goals: Sequence[Goal]) -> list[TrialRecord]:
    """Finds the Pareto front: the healthy, finished trials that no other such trial dominates.

    One trial dominates another if it is at least as good in every metric and better in one. The
    trials are sorted by the first metric, the best first. A trial without a value of some metric is
    left out.
    """
    candidates = [
        (record, _gains(record, goals))
        for record in records
        if record.state == "finished"
        and is_healthy(record)
        and all(is_figure(record.metrics.get(goal.metric)) for goal in goals)
    ]
    front = [
        (record, gains)
        for record, gains in candidates
        if not any(_dominates(other, gains) for _, other in candidates)
    ]
    return [record for record, _ in sorted(front, key=lambda pair: pair[1], reverse=True)]


def _gains(record: TrialRecord, goals: Sequence[Goal]) -> tuple[float, ...]:
    """Returns a trial's values of the metrics.

    A value changes its sign if lower values are better.
    """
    return tuple(record.metrics[metric] * (1 if mode == "max" else -1) for metric, mode in goals)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
