"""How well the judge names the labelled runs, and how early.

In: recorded histories and their labels. Out: a ``Score`` per run; run as
``python -m tests.corpus.score`` it prints the tables of ``docs/decisions/0007-verdict.md``. Next:
``tests/diagnostics/test_corpus.py``.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from poise.config.objectives import Signals
from poise.diagnostics.history import History
from poise.diagnostics.judge import Verdict, VerdictKind, judge
from poise.training.schedule import FIRST_LOOKS
from tests.corpus.causes import HEALTHY, LOST, RUNS, LabelledRun
from tests.corpus.histories import read_histories
from tests.corpus.record import LOG_EVERY_STEPS, recipe_of

RUINED = -10.0
"""Percentage points of k-NN below the untrained backbone: no run that ends so is healthy."""


@dataclass(frozen=True)
class Score:
    """What the judge said of one run."""

    run: LabelledRun
    final: Verdict
    condemned: Verdict | None
    """The first that condemned it, had it been judged at every interval; none if it never was."""

    condemned_step: int | None
    """When that was."""

    num_acquittals: int
    """How often a verdict that condemned was followed by one that did not."""

    total_steps: int
    knn_gain: float
    """Percentage points of k-NN accuracy that training brought."""

    @property
    def right(self) -> tuple[VerdictKind, ...]:
        """Verdicts that name it right: its cause's, unless k-NN, which no judge sees, fell far."""
        return LOST if self.run.right == HEALTHY and self.knn_gain < RUINED else self.run.right

    @property
    def is_right(self) -> bool:
        """Whether the last verdict names it."""
        return self.final.kind in self.right

    @property
    def is_healthy(self) -> bool:
        """By its label."""
        return self.right == HEALTHY

    @property
    def lag_share(self) -> float | None:
        """Of the run that had passed since the onset that the first condemnation names."""
        if self.condemned is None or self.condemned.onset_step is None:
            return None
        assert self.condemned_step is not None
        return (self.condemned_step - self.condemned.onset_step) / self.total_steps

    @property
    def condemned_share(self) -> float | None:
        """Of the run that was over when it was condemned."""
        return None if self.condemned_step is None else self.condemned_step / self.total_steps


def score(run: LabelledRun, history: History, signals: Signals) -> Score:
    """Judges a run as it would have been while it went on."""
    total_steps = history[-1][0]
    verdicts = [
        (history[end - 1][0], judge(history[:end], signals, total_steps))
        for end in range(1, len(history) + 1)
    ]
    step, condemned = next(
        ((step, verdict) for step, verdict in verdicts if verdict.condemned), (None, None)
    )
    acquittals = sum(
        before.condemned and not after.condemned
        for (_, before), (_, after) in itertools.pairwise(verdicts)
    )
    accuracies = [m["eval/knn_top1"] for _, m in history if "eval/knn_top1" in m]
    gain = accuracies[-1] - accuracies[0]
    return Score(run, verdicts[-1][1], condemned, step, acquittals, total_steps, gain)


def score_all(log_every_steps: int = LOG_EVERY_STEPS) -> list[Score]:
    """Every recorded run's, had it been logged so often: a multiple of the recorded interval."""
    histories = read_histories()
    return [
        score(run, _thinned(histories[run.name], log_every_steps), recipe_of(run).signals)
        for run in RUNS
        if run.name in histories
    ]


def _thinned(history: History, log_every_steps: int) -> History:
    last = history[-1][0]
    looks = (0, *FIRST_LOOKS, last)
    return [entry for entry in history if entry[0] in looks or not entry[0] % log_every_steps]


def confusion(scores: Sequence[Score]) -> dict[str, Counter[VerdictKind]]:
    """Cause → how often each verdict was given."""
    table: dict[str, Counter[VerdictKind]] = {}
    for each in scores:
        table.setdefault(each.run.cause, Counter())[each.final.kind] += 1
    return table


def main() -> None:
    """Prints the tables."""
    scores = score_all()
    by_cause = confusion(scores)
    kinds = [kind for kind in VerdictKind if any(kind in row for row in by_cause.values())]
    print(f"| cause | {' | '.join(kinds)} | named right | condemned after | k-NN gain |")
    print("|---" * (len(kinds) + 4) + "|")
    for cause, row in by_cause.items():
        of_cause = [each for each in scores if each.run.cause == cause]
        right = sum(each.is_right for each in of_cause)
        shares = [each.condemned_share for each in of_cause if each.condemned_share is not None]
        after = f"{min(shares):.0%}–{max(shares):.0%}" if shares else ""
        gains = [each.knn_gain for each in of_cause]
        counts = " | ".join(str(row[kind] or "") for kind in kinds)
        print(
            f"| {cause} | {counts} | {right} of {len(of_cause)} | {after} | "
            f"{min(gains):+.1f} to {max(gains):+.1f} |"
        )
    print()
    for sentence in sentences(scores):
        print(f"- {sentence}")
    for each in scores:
        if not each.is_right or (each.is_healthy and each.condemned_step is not None):
            print(f"wrong: {each.run.name}: {each.final.kind}: {each.final.evidence}")


def sentences(scores: Sequence[Score]) -> list[str]:
    """What the documents say of the corpus, from its scores."""
    healthy = [each for each in scores if each.is_healthy]
    lost = [each for each in scores if not each.is_healthy]
    single = [each for each in lost if len(each.right) == 1]
    several = [each for each in lost if len(each.right) > 1]
    collapsed = [each for each in lost if each.final.collapsed and each.run.objective == "dino"]
    flips = sum(each.num_acquittals > 0 for each in lost)
    return [
        f"{sum(each.condemned_step is None for each in healthy)} of {len(healthy)} healthy runs "
        "are condemned at no interval",
        f"{sum(each.is_right for each in single)} of {len(single)} lost runs whose cause allows "
        f"one verdict are named right, and {sum(each.is_right for each in several)} of "
        f"{len(several)} whose cause allows several",
        *_lead("", [each for each in collapsed if each.run.length == 1]),
        *_lead(" in a long run", [each for each in collapsed if each.run.length > 1]),
        f"{flips} of {len(lost)} lost runs were acquitted for a while after they were condemned",
    ]


def _lead(where: str, collapsed: Sequence[Score]) -> Iterator[str]:
    """How early."""
    shares = sorted(each.condemned_share or 1.0 for each in collapsed)
    lags = sorted(1.0 if each.lag_share is None else each.lag_share for each in collapsed)
    yield (
        f"of {len(collapsed)} collapsed teachers{where} half are condemned within "
        f"{median(shares):.1%} of the run, {sum(share <= 0.1 for share in shares)} within 10 %, "
        f"the last after {shares[-1]:.0%}"
    )
    yield (
        f"half of these are condemned within {median(lags):.1%} of the run after the onset, "
        f"{sum(lag <= 0.1 for lag in lags)} within 10 %"
    )


if __name__ == "__main__":
    main()
