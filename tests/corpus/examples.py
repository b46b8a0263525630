"""For each metric, healthy runs and runs of the verdict that this metric tells best.

In: recorded histories, labels and verdicts. Out: an ``Example`` per metric. Next:
``pipelines/metric_pictures.py`` draws them.

A run counts as broken in the way that the judge names, if its cause allows this verdict. How well a
metric tells a verdict is counted over pairs of a healthy and a broken run on the same images with
the same backbone, because many metrics depend on both.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from poise.diagnostics.history import History
from poise.diagnostics.judge import VerdictKind, judge
from tests.corpus.causes import HEALTHY, LOST, RUNS, LabelledRun
from tests.corpus.histories import read_histories
from tests.corpus.record import recipe_of
from tests.corpus.score import RUINED

Curve = tuple[tuple[float, float], ...]
"""Points of a run: share of its steps, and the metric's finite value."""

_LATE = 0.75  # share of the steps after which a run counts as it ends
_TOLD = 0.95  # share of pairs from which on more runs say more than a larger share
_FEWEST = 4  # runs of a verdict: what one run shows may be chance
_MEANT_FOR = {"teacher/update_size": VerdictKind.UNMOVED_TEACHER}
"""Metrics that exist for one verdict, however few runs have it."""

_SHOWN_FIRST = ("cifar10", "photographs", "scenes", "few scenes")

Setup = tuple[str, str, str]
"""Objective, images and backbone."""


@dataclass(frozen=True)
class KnownRun:
    """A labelled run with its verdict and its history."""

    run: LabelledRun
    verdict: VerdictKind
    history: History

    @property
    def setup(self) -> Setup:
        """What a metric's values depend on, beside the run's health."""
        return self.run.objective, self.run.dataset, self.run.backbone

    def curve(self, metric: str) -> Curve:
        """The metric over the run, where it is finite."""
        last = self.history[-1][0]
        return tuple(
            (step / last, metrics[metric])
            for step, metrics in self.history
            if metric in metrics and math.isfinite(metrics[metric])
        )


@dataclass(frozen=True)
class Example:
    """What a picture of a metric shows."""

    metric: str
    verdict: VerdictKind
    setup: Setup
    """Setup of the runs that are drawn."""

    healthy: tuple[Curve, ...]
    broken: tuple[Curve, ...]
    num_pairs: int
    """Pairs of a healthy and a broken run of the same setup, in the whole corpus."""

    higher_share: float
    """Pairs in which the broken run ends higher; a tie counts half."""

    @property
    def told_share(self) -> float:
        """Pairs in which the value tells which run is broken."""
        return max(self.higher_share, 1 - self.higher_share)


def known_runs() -> list[KnownRun]:
    """The labelled runs whose verdict is right."""
    histories = read_histories()
    found = []
    for run in RUNS:
        history, recipe = histories[run.name], recipe_of(run)
        verdict = judge(history, recipe.signals, history[-1][0]).kind
        if verdict in _right(run, history):
            found.append(KnownRun(run, verdict, history))
    return found


def _right(run: LabelledRun, history: History) -> tuple[VerdictKind, ...]:
    accuracies = [m["eval/knn_top1"] for _, m in history if "eval/knn_top1" in m]
    ruined = run.right == HEALTHY and accuracies[-1] - accuracies[0] < RUINED
    return LOST if ruined else run.right


def find_examples(metrics: Sequence[str], runs: Sequence[KnownRun]) -> Iterator[Example]:
    """Yields an example of each metric that the runs have."""
    for metric in metrics:
        having = [run for run in runs if run.curve(metric)]
        examples = list(_candidates(metric, having))
        if examples:
            yield max(examples, key=_worth)


def _candidates(metric: str, runs: Sequence[KnownRun]) -> Iterator[Example]:
    """Yields an example of each verdict that enough runs have, or that the metric is meant for."""
    by_setup: dict[Setup, dict[VerdictKind, list[Curve]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        by_setup[run.setup][run.verdict].append(run.curve(metric))
    counts = Counter(run.verdict for run in runs if run.verdict is not VerdictKind.HEALTHY)
    enough = [verdict for verdict, count in counts.items() if count >= _FEWEST]
    meant = _MEANT_FOR.get(metric)
    for verdict in [meant] if meant else enough or counts:
        setups = {setup: kinds for setup, kinds in by_setup.items() if _is_shown(kinds, verdict)}
        if setups:
            yield _example(metric, verdict, setups)


def _is_shown(kinds: Mapping[VerdictKind, Sequence[Curve]], verdict: VerdictKind) -> bool:
    return bool(kinds.get(VerdictKind.HEALTHY)) and bool(kinds.get(verdict))


def _example(
    metric: str,
    verdict: VerdictKind,
    setups: Mapping[Setup, Mapping[VerdictKind, Sequence[Curve]]],
) -> Example:
    pairs = [
        (_end(healthy), _end(broken))
        for kinds in setups.values()
        for healthy, broken in itertools.product(kinds[VerdictKind.HEALTHY], kinds[verdict])
    ]
    higher = sum((broken > healthy) + (broken == healthy) / 2 for healthy, broken in pairs)
    shown = min(setups, key=lambda each: (_SHOWN_FIRST.index(each[1]), each[2] != "vit"))
    return Example(
        metric,
        verdict,
        shown,
        tuple(setups[shown][VerdictKind.HEALTHY]),
        tuple(setups[shown][verdict]),
        len(pairs),
        higher / len(pairs),
    )


def _end(curve: Curve) -> float:
    """Median of the last quarter of a run, or its last value."""
    return median([value for share, value in curve if share >= _LATE] or [curve[-1][1]])


def _worth(example: Example) -> tuple[bool, float]:
    """Orders verdicts: those that are told nearly always by their evidence, the others by that."""
    told = example.told_share >= _TOLD
    return told, example.num_pairs if told else example.told_share
