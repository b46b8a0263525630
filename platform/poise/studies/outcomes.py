"""How trials ended, counted.

In: records. Out: outcomes in words, shares, and the figures that may be compared.
Next: ``poise.studies.findings.comparison`` and its neighbours.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from poise.config.metrics import Mode
from poise.config.space import Goal
from poise.diagnostics.history import History
from poise.diagnostics.judge import VerdictKind
from poise.studies.estimates import Share, is_figure, share_interval
from poise.studies.records import TrialRecord

FAILURES = tuple(
    kind for kind in VerdictKind if kind not in (VerdictKind.HEALTHY, VerdictKind.UNDECIDED)
)
"""The verdicts of a trial that collapsed, got stuck or diverged; the worst first."""

_WORST_FIRST = (*FAILURES, VerdictKind.UNDECIDED, VerdictKind.HEALTHY)


def tally(records: Iterable[TrialRecord]) -> dict[str, int]:
    """How often each outcome came: most frequent first, of equally frequent ones the worse."""
    counts = Counter(record.outcome for record in records)
    return {each: counts[each] for each in sorted(counts, key=lambda o: (-counts[o], _badness(o)))}


def is_condemned(record: TrialRecord) -> bool:
    """Whether it collapsed, got stuck or diverged."""
    return record.verdict is not None and record.verdict.condemned


def is_healthy(record: TrialRecord) -> bool:
    """Whether its verdict is healthy."""
    return record.verdict is not None and record.verdict.kind is VerdictKind.HEALTHY


def was_cut_off(record: TrialRecord) -> bool:
    """Whether a scheduler ended it with nothing wrong: how it would have gone on is open."""
    return record.state == "stopped" and not is_condemned(record)


def is_decided(record: TrialRecord) -> bool:
    """Whether it was condemned, or was healthy to its end."""
    return is_condemned(record) or (record.state == "finished" and is_healthy(record))


def condemned_share(records: Iterable[TrialRecord]) -> Share:
    """Of the trials that are decided: the others say nothing.

    What a scheduler cut off would mostly have been healthy to its end, and a collapse is counted
    whenever it comes. So among what is left there are too many, and the share has no interval.
    """
    records = list(records)
    decided = [record for record in records if is_decided(record)]
    share = share_interval(sum(map(is_condemned, decided)), len(decided))
    return replace(share, low=None, high=None) if any(map(was_cut_off, records)) else share


def is_complete(record: TrialRecord) -> bool:
    """Whether its figures may be held against others'.

    It trained to its end, or was condemned before: training on would have been wasted. What a
    scheduler stopped has figures of fewer steps, and averaging them would compare durations.
    """
    return record.state in ("finished", "stopped") and not was_cut_off(record)


def best_of(records: Iterable[TrialRecord], metric: str, mode: Mode) -> TrialRecord | None:
    """The healthy trial with the best metric; one that collapsed is never best.

    Only trials that trained to their end are compared: one that was stopped early has no last
    checkpoint that its verdict speaks of.
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


def trained_metrics(record: TrialRecord, history: History) -> dict[str, float]:
    """A trial's metrics without those of before training.

    Each evaluation before the first step is logged under both ``eval/`` and ``untrained/``. What
    failed or was interrupted before the next one has no other, and none that is its own.
    """
    return {
        name: value
        for name, value in record.metrics.items()
        if (twin := _untrained_twin(record, name)) is None
        or _is_of_training(record, history, name, value != twin)
    }


def _untrained_twin(record: TrialRecord, metric: str) -> float | None:
    group, _, name = metric.partition("/")
    return record.metrics.get(f"untrained/{name}") if group == "eval" else None


def _is_of_training(record: TrialRecord, history: History, metric: str, has_changed: bool) -> bool:
    steps = [step for step, seen in history if metric in seen]
    return max(steps) > 0 if steps else record.step > 0 and has_changed


def condemned_as(records: Sequence[TrialRecord]) -> str:
    """What condemned trials have in common, in a word or three."""
    verdicts = [record.verdict for record in records if record.verdict and record.verdict.condemned]
    only_collapses = all(verdict.collapsed for verdict in verdicts)
    return "collapsed" if only_collapses else "collapsed, stuck or diverged"


def _badness(word: str) -> int:
    words, kind = [str(each) for each in _WORST_FIRST], word.partition(" (")[0]
    return words.index(kind) if kind in words else len(words)


def pareto_front(records: Sequence[TrialRecord], goals: Sequence[Goal]) -> list[TrialRecord]:
    """The healthy trials that trained to their end and that no other of these dominates.

    One trial dominates another if it is as good in every metric and better in one. The front is
    in the order of the first metric, the best first; a trial that lacks a figure is not on it.
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
    """Its figures, turned so that more is better."""
    return tuple(record.metrics[metric] * (1 if mode == "max" else -1) for metric, mode in goals)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
