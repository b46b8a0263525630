"""How well the judge names the labelled runs, and how early.

In: recorded histories and their labels. Out: a ``Score`` per run; run as
``python -m tests.corpus.score`` it prints the tables of ``docs/decisions/0007-verdict.md``. Next:
``tests/diagnostics/test_corpus.py``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from poise.config.objectives import Signals
from poise.diagnostics import Verdict, VerdictKind, judge
from poise.diagnostics.persistence import History
from tests.corpus.causes import HEALTHY, LOST, RUNS, LabelledRun
from tests.corpus.histories import read_histories
from tests.corpus.record import recipe_of

RUINED = -10.0
"""Percentage points of k-NN below the untrained backbone: no run that ends so is healthy."""


@dataclass(frozen=True)
class Score:
    """What the judge said of one run."""

    run: LabelledRun
    final: Verdict
    condemned_step: int | None
    """When it was first condemned, had it been judged at every interval; none if it never was."""

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
    condemned = next((step for step, verdict in verdicts if verdict.condemned), None)
    accuracies = [m["eval/knn_top1"] for _, m in history if "eval/knn_top1" in m]
    gain = accuracies[-1] - accuracies[0]
    return Score(run, verdicts[-1][1], condemned, total_steps, gain)


def score_all() -> list[Score]:
    """Every recorded run's."""
    histories = read_histories()
    return [
        score(run, histories[run.name], recipe_of(run).objective.signals)
        for run in RUNS
        if run.name in histories
    ]


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
    lost = [each for each in scores if not each.is_healthy]
    healthy = [each for each in scores if each.is_healthy]
    shares = sorted(each.condemned_share or 1.0 for each in lost)
    print()
    print(f"healthy runs condemned: {sum(e.condemned_step is not None for e in healthy)}", end=" ")
    print(f"of {len(healthy)}")
    print(f"other runs named right: {sum(e.is_right for e in lost)} of {len(lost)}")
    print(f"condemned after (median share of the run): {median(shares):.1%}")
    for each in scores:
        if not each.is_right or (each.is_healthy and each.condemned_step is not None):
            print(f"wrong: {each.run.name}: {each.final.kind}: {each.final.evidence}")


if __name__ == "__main__":
    main()
