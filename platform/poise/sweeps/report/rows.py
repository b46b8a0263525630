"""What varies, how each trial ended and its figures, as rows.

In: records. Out: headers and rows of plain values. Next: the terminal, and the report's files.
"""

import math
from collections.abc import Sequence

from poise.sweeps.records import Study, TrialRecord
from poise.sweeps.referee import plain

Row = list[str | int | float | None]


def table(study: Study, records: Sequence[TrialRecord]) -> tuple[list[str], list[Row]]:
    """Headers and a row per trial: what varies, the verdict and the figures."""
    keys = list(study.space.parameters)
    metric = study.space.goal.metric
    relative = study.recipe.objective.signals.relative_loss
    losses = [relative] if relative else []
    extra = [] if metric in ("eval/knn_top1", *(name for name, _ in losses)) else [metric]
    headers = ["trial", *short_names(keys), "seed", "verdict", "k-NN %", "untrained"]
    headers += [*(label for _, label in losses), *extra]
    rows = [
        [
            record.trial.name,
            *(plain(record.trial.settings[key]) for key in keys),
            record.trial.seed,
            record.outcome,
            _rounded(record.metrics.get("eval/knn_top1"), 1),
            _rounded(record.metrics.get("untrained/knn_top1"), 1),
            *(_rounded(record.metrics.get(name), 3) for name, _ in losses),
            *(_rounded(record.metrics.get(name), 4) for name in extra),
            record.step,
            round(record.seconds),
        ]
        for record in records
    ]
    return [*headers, "steps", "seconds"], rows


def short_names(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or all of it where two would be alike."""
    leaves = [key.rpartition(".")[2] for key in keys]
    return [
        leaf if leaves.count(leaf) == 1 else key for key, leaf in zip(keys, leaves, strict=True)
    ]


def seeds_of_settings(
    records: Sequence[TrialRecord], metric: str
) -> list[tuple[str, float, float, int]]:
    """Per setting that several seeds finished: its first trial, mean, standard deviation, count."""
    by_setting: dict[int, list[TrialRecord]] = {}
    for record in records:
        if record.state == "finished" and math.isfinite(record.metrics.get(metric, math.nan)):
            by_setting.setdefault(record.trial.setting, []).append(record)
    rows = []
    for group in by_setting.values():
        values = [record.metrics[metric] for record in group]
        if len(values) > 1:
            mean = sum(values) / len(values)
            spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
            rows.append((group[0].trial.name, mean, spread, len(values)))
    return rows


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
