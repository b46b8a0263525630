"""The recorded histories of the labelled runs.

In: ``runs.parquet``, made by ``record.py``. Out: a history per run, as ``judge`` takes it.
Next: ``score.py``.
"""

from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq

from poise.diagnostics.history import History

CORPUS = Path(__file__).parent / "runs.parquet"

Metrics = dict[str, float]


def read_histories(path: Path = CORPUS) -> dict[str, History]:
    """Run's name → ``(step, metrics)`` in order."""
    by_run: dict[str, dict[int, Metrics]] = defaultdict(lambda: defaultdict(dict))
    columns = pq.read_table(path).to_pydict()
    for run, step, metric, value in zip(
        columns["run"], columns["step"], columns["metric"], columns["value"], strict=True
    ):
        by_run[run][step][metric] = value
    return {run: sorted(steps.items()) for run, steps in by_run.items()}
