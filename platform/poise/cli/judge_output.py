"""Prints the verdict on a log: first the answer, then the evidence.

In: a ``LogVerdict``. Out: lines, or plain values for JSON. Next: `poise judge`.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from poise.config.wording import listed

if TYPE_CHECKING:
    from poise.diagnostics.logs.judging import LogVerdict


def lines(judged: "LogVerdict") -> Iterator[str]:
    """Yields the lines of the human-readable output. The first line contains the verdict."""
    verdict, log, facts = judged.verdict, judged.log, judged.facts
    since = "" if verdict.onset_step is None else f", since {log.unit} {verdict.onset_step}"
    yield f"{log.source}: {_answer(judged)}{since}"
    yield f"evidence: {verdict.evidence}"
    if verdict.advice:
        yield f"advice: {verdict.advice}"
    first, last = log.history[0][0], log.history[-1][0]
    known = [f"K = {facts.prototypes}"] if facts.prototypes else []
    known += [f"{facts.batch_size} images in a batch"] if facts.batch_size else []
    yield (
        f"read: {log.layout}, {log.rows} rows, {log.unit} {first} to {last}, objective "
        f"{', '.join([str(facts.objective), *known])}"
    )
    for name, source in judged.sources.items():
        yield f"  {name} from {source}"
    for note in log.notes:
        yield f"note: {note}"
    for sentence in judged.assumed:
        yield f"assumed: {sentence}"
    for each in judged.missing:
        it = "It shows" if len(each.metrics) == 1 else "Together they show"
        yield f"not measured: {', '.join(each.metrics)}. {it} {each.shows}."
        yield f"  how to log: {each.how}"


def _answer(judged: "LogVerdict") -> str:
    """Returns the verdict. If it is healthy, also names the failures that the log cannot show."""
    if judged.verdict.kind != "healthy" or not judged.missing:
        return judged.verdict.kind
    unseen = listed((each.shows for each in judged.missing), "or")
    return f"healthy, as far as the log shows. The log cannot show {unseen}"


def described(judged: "LogVerdict") -> dict[str, Any]:
    """Returns the verdict as a dict for JSON."""
    log, facts = judged.log, judged.facts
    return {
        "verdict": judged.verdict.kind,
        "shows_all": not judged.missing,
        "condemned": judged.verdict.condemned,
        "onset": judged.verdict.onset_step,
        "evidence": judged.verdict.evidence,
        "advice": judged.verdict.advice,
        "log": {
            "source": log.source,
            "layout": log.layout,
            "unit": log.unit,
            "rows": log.rows,
            "first": log.history[0][0],
            "last": log.history[-1][0],
            "notes": list(log.notes),
        },
        "objective": facts.objective,
        "prototypes": facts.prototypes,
        "batch_size": facts.batch_size,
        "planned_steps": facts.planned_steps,
        "assumed": list(judged.assumed),
        "read": {name: str(source) for name, source in judged.sources.items()},
        "values": {
            name: value if math.isfinite(value) else str(value)
            for name, value in judged.values.items()
        },
        "not_measured": [asdict(each) for each in judged.missing],
    }
