"""How trials ended: outcomes, counts, and the figures that may be compared.

In: records. Out: outcomes in words, shares, comparable figures, the best trials. Next:
``poise.studies.findings.comparison`` and its neighbours.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from poise.config.metrics import Mode, before_training
from poise.config.space import Goal
from poise.config.wording import unit
from poise.diagnostics.history import History
from poise.diagnostics.judge import VerdictKind
from poise.studies.analysis.intervals import (
    Estimate,
    Share,
    is_figure,
    mean_interval,
    share_interval,
)
from poise.studies.records import TrialRecord

FAILURES = tuple(
    kind for kind in VerdictKind if kind not in (VerdictKind.HEALTHY, VerdictKind.UNDECIDED)
)
"""The verdicts of a trial that collapsed, got stuck or diverged; the worst first."""

_WORST_FIRST = (*FAILURES, VerdictKind.UNDECIDED, VerdictKind.HEALTHY)


def tally(records: Iterable[TrialRecord]) -> dict[str, int]:
    """The number of trials with each outcome, the largest first; of equal ones the worse first."""
    counts = Counter(record.outcome for record in records)
    return {each: counts[each] for each in sorted(counts, key=lambda o: (-counts[o], _badness(o)))}


def is_condemned(record: TrialRecord) -> bool:
    """Whether a trial collapsed, got stuck or diverged."""
    return record.verdict is not None and record.verdict.condemned


def is_healthy(record: TrialRecord) -> bool:
    """Whether a trial's verdict is healthy."""
    return record.verdict is not None and record.verdict.kind is VerdictKind.HEALTHY


def was_cut_off(record: TrialRecord) -> bool:
    """Whether a scheduler ended a trial with nothing wrong; its own end is unknown."""
    return record.state == "stopped" and not is_condemned(record)


def is_decided(record: TrialRecord) -> bool:
    """Whether a trial was condemned, or trained to its end and is healthy."""
    return is_condemned(record) or (record.state == "finished" and is_healthy(record))


def condemned_share(records: Iterable[TrialRecord]) -> Share:
    """The share of condemned trials among those that are decided.

    It has no interval where a scheduler cut trials off. Most of those would have stayed healthy,
    while a collapse counts at any step, so the share is too high.
    """
    records = list(records)
    decided = [record for record in records if is_decided(record)]
    share = share_interval(sum(map(is_condemned, decided)), len(decided))
    return replace(share, low=None, high=None) if any(map(was_cut_off, records)) else share


def is_complete(record: TrialRecord) -> bool:
    """Whether a trial's figures may be compared with those of others.

    A trial is complete if it trained to its end, or was condemned before. A trial that a scheduler
    stopped has figures from fewer steps: a mean of both would compare training times.
    """
    return record.state in ("finished", "stopped") and not was_cut_off(record)


def best_of(records: Iterable[TrialRecord], metric: str, mode: Mode) -> TrialRecord | None:
    """The best healthy trial that trained to its end; none without one.

    A trial that was stopped early is left out: its verdict is about its beginning.
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
    """A comparable figure of a trial; none where there is none."""
    value = record.metrics.get(metric)
    return value if is_figure(value) and is_complete(record) else None


def mean_of(metric: str, values: Iterable[float | None]) -> Estimate:
    """The mean of a metric's figures; the interval of a percentage stays within 0 to 100."""
    return mean_interval(values, (0, 100)) if unit(metric) else mean_interval(values)


def trained_metrics(record: TrialRecord, history: History) -> dict[str, float]:
    """A trial's metrics without those that were only measured before training.

    The evaluation before the first step is logged under both ``eval/`` and ``untrained/`` (or
    ``start/``). A trial that ended before its next evaluation has no figure of its own.
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


def condemned_as(records: Sequence[TrialRecord]) -> str:
    """What the condemned trials did: all ``collapsed``, all ``forgot``, or ``failed to learn``."""
    verdicts = [record.verdict for record in records if record.verdict and record.verdict.condemned]
    if all(verdict.collapsed for verdict in verdicts):
        return "collapsed"
    only_forgot = all(verdict.kind is VerdictKind.FORGETTING for verdict in verdicts)
    return "forgot" if only_forgot else "failed to learn"


def _badness(word: str) -> int:
    words, kind = [str(each) for each in _WORST_FIRST], word.partition(" (")[0]
    return words.index(kind) if kind in words else len(words)


def pareto_front(records: Sequence[TrialRecord], goals: Sequence[Goal]) -> list[TrialRecord]:
    """The healthy trials that trained to their end and that no other such trial dominates.

    One trial dominates another if it is as good in every metric and better in one. The order is
    that of the first metric, the best first. A trial without one of the figures is left out.
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
    """A trial's figures, with their sign changed where less is better."""
    return tuple(record.metrics[metric] * (1 if mode == "max" else -1) for metric, mode in goals)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
