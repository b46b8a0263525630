"""Makes the verdict on a log.

In: a ``Log`` and ``Facts``. Out: a ``LogVerdict``. Next: `poise judge`, which prints the verdict.

``poise.diagnostics.judge`` makes the verdict, and this module prepares its arguments. Two rules are
adapted to logs of other programs. First, a log by epochs does not show the first 24 steps, so the
first epoch counts as the time to settle. Second, the batch size may be unknown. Then a low number
of used prototypes is a collapse only if it would be a collapse with a small batch too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from poise.config.errors import PoiseError
from poise.config.objectives import DinoConfig, MaeConfig, Signals
from poise.config.wording import in_percent
from poise.diagnostics.history import History, newest_metrics
from poise.diagnostics.judge import Limits, Verdict, judge
from poise.diagnostics.judge.limits import DEFAULT_LIMITS
from poise.diagnostics.judge.verdict import FEW_PROTOTYPES
from poise.diagnostics.logs.facts import Facts, completed
from poise.diagnostics.logs.log import Log
from poise.diagnostics.logs.meaning.checks import check_values, likely_prototypes, loss_shares
from poise.diagnostics.logs.meaning.derived import (
    metrics_of,
    with_normalized_targets,
    with_teacher,
)
from poise.diagnostics.logs.meaning.naming import find_sources
from poise.diagnostics.logs.meaning.sources import Source
from poise.diagnostics.logs.missing import Missing, missing_metrics

_SMALL_BATCH = 32
_LEAST_AT_FIRST = 0.85


@dataclass(frozen=True)
class LogVerdict:
    """Verdict on a log, with the data and facts that were used."""

    log: Log
    verdict: Verdict
    facts: Facts
    history: History
    """Metrics of the run, with Poise's names."""

    sources: Mapping[str, Source]
    """Maps each metric to the columns from which it was read."""

    missing: tuple[Missing, ...]
    """Metrics that are missing in the log."""

    assumed: tuple[str, ...]
    """Sentences about facts that were assumed."""

    @property
    def values(self) -> dict[str, float]:
        """Maps each metric to its newest value."""
        return newest_metrics(self.history)


def judge_log(log: Log, facts: Facts) -> LogVerdict:
    """Makes the verdict on a log.

    Raises:
        PoiseError: the columns or the facts are not sufficient, or contradict each other. The
            message names the necessary option.
    """
    sources = find_sources(log, facts.sources)
    facts = completed(facts, log, sources)
    history = metrics_of(log, sources)
    if facts.objective == "dino":
        history = with_teacher(history, _prototypes(log, history, facts))
    elif facts.normalized_targets:
        history = with_normalized_targets(history)
    check_values(log, history, sources, facts.prototypes)
    verdict = _verdict(log, history, facts)
    assert facts.objective is not None
    found = {name for _, metrics in history for name in metrics}
    missing = tuple(missing_metrics(facts.objective, found))
    return LogVerdict(
        log, verdict, facts, history, sources, missing, tuple(_assumed(log, history, facts))
    )


def _prototypes(log: Log, history: History, facts: Facts) -> int:
    if facts.prototypes is not None:
        return facts.prototypes
    names = ("teacher/cross_entropy", "loss/total")
    losses = [metrics[name] for _, metrics in history for name in names if name in metrics]
    raise PoiseError(
        f"{log.source}: the verdict on DINO needs K, the number of prototypes (out_dim of DINO, "
        f"dino.head_n_prototypes of DINOv2); {likely_prototypes(losses[0] if losses else 0.0)}"
    )


def _verdict(log: Log, history: History, facts: Facts) -> Verdict:
    limits = DEFAULT_LIMITS
    signals = _signals(facts)
    if log.unit == "epoch":
        limits = replace(limits, settling_steps=1)
        signals = replace(signals, center_memory_steps=0)
    verdict = judge(history, signals, facts.planned_steps, limits)
    if verdict.kind in FEW_PROTOTYPES and facts.batch_size is None:
        _check_small_batch(log, history, facts, signals, limits)
    return verdict


def _signals(facts: Facts) -> Signals:
    if facts.objective == "mae":
        return MaeConfig().signals
    assert facts.prototypes is not None
    signals = DinoConfig(num_prototypes=facts.prototypes).signals
    return replace(signals, batch_images=facts.batch_size)


def _check_small_batch(
    log: Log, history: History, facts: Facts, signals: Signals, limits: Limits
) -> None:
    """Raises an error if the verdict depends on the unknown batch size.

    A small batch uses few prototypes, even if the teacher is healthy.
    """
    small = replace(signals, batch_images=_SMALL_BATCH)
    if judge(history, small, facts.planned_steps, limits).kind not in FEW_PROTOTYPES:
        entropy = newest_metrics(history)["teacher/marginal_entropy"]
        raise PoiseError(
            f"{log.source}: the marginal entropy of {entropy:.3g} nats is few prototypes for a "
            "large batch but not for a small one; give the images of a batch over all workers with "
            "--batch-size N"
        )


def _assumed(log: Log, history: History, facts: Facts) -> list[str]:
    last = log.history[-1][0]
    found = []
    if facts.planned_steps is None:
        found.append(
            f"the run is over, and {log.unit} {last} was its last planned {log.unit}. If not, give "
            "--planned-steps."
        )
    if log.unit == "epoch":
        found.append("one epoch is enough to settle. In the evidence, a step is an epoch.")
    elif log.unit != "step":
        found.append(f"in the evidence, a step is a {log.unit}, counted from 0.")
    if facts.batch_size is None and "teacher/marginal_entropy" in newest_metrics(history):
        found.append("the batch is large. If not, give --batch-size.")
    losses = loss_shares(history)
    if facts.prototypes is not None and losses and losses[0] < _LEAST_AT_FIRST:
        found.append(
            f"K = {facts.prototypes} is right, although the loss begins at "
            f"{in_percent(losses[0], 0)} of ln K. An untrained student has 100 %."
        )
    return found
