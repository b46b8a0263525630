"""Writes the report as CSV, with a row for each trial and a column for each fact.

In: findings. Out: CSV. Next: ``report.csv``, which a notebook can read.
"""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from poise.studies.findings.findings import Findings, TrialFinding
from poise.studies.labels import described
from poise.studies.outcomes import is_condemned, is_decided


def render_csv(findings: Findings) -> str:
    """Returns the CSV table of trials, with one row per trial.

    A row contains the hyperparameters, the outcome and the last value of every metric. The column
    of a hyperparameter has its dotted key, and contains the value at the start of the trial. The
    column ``changes`` contains later values. Unknown values and values that are not finite are
    empty.
    """
    records = [trial.record for trial in findings.trials]
    keys = dict.fromkeys(key for record in records for key in record.trial.settings)
    metrics = sorted({name for record in records for name in record.metrics})
    onsets = findings.outliers.trials if findings.outliers else None
    rows = [
        _row(trial, list(keys), metrics)
        | ({} if onsets is None else {"outlier_onset_step": onsets.get(trial.record.trial.name)})
        for trial in findings.trials
    ]
    columns = list(rows[0]) if rows else ["trial"]
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _row(found: TrialFinding, keys: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    record = found.record
    trial, verdict = record.trial, record.verdict
    return {
        "trial": trial.name,
        "setting": trial.setting + 1,
        **{key: trial.settings.get(key) for key in keys},
        "seed": trial.seed,
        "changes": described(record.changes),
        "state": record.state,
        "stopped_by": record.stopped_by,
        "outcome": record.outcome,
        "condemned": int(is_condemned(record)) if is_decided(record) else None,
        "onset_step": verdict.onset_step if verdict else None,
        "evidence": verdict.evidence if verdict else None,
        "reason": record.reason,
        "step": record.step,
        "total_steps": record.total_steps,
        "hours": round(record.seconds / 3600, 4),
        "run_id": record.run_id,
        **{name: _finite(found.metrics.get(name)) for name in metrics},
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
