"""Adds evaluations of a finished model to the run that trained the model.

In: a package's config, metrics and files. Out: metrics and artifacts of the run. Next: users see
the results beside the curves of training.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from poise.tracking.known_run import stored_run
from poise.tracking.store import Store, explained, open_store

_MAX_METRICS_AT_ONCE = 1000

Points = Mapping[str, Sequence[tuple[int, float]]]
"""Maps a metric to its pairs of a step and a value. For some metrics, "step" is another number,
such as the index of a block.
"""


def find_maker(config: Mapping[str, Any], store: Store | None = None) -> str | None:
    """Finds the run that trained a packaged model, or None if this store does not have the run.

    Args:
        config: config of the package.
        store: store to look in. None opens the default store if the package names a run.

    Raises:
        PoiseError: the store does not answer. Otherwise figures would be lost without a message.
    """
    run_id = config.get("lineage", {}).get("run_id")
    if not run_id:
        return None
    with explained(f"run {run_id}, which made the model, cannot be looked up"):
        found = stored_run(store or open_store(), str(run_id))
    return None if found is None else str(found.info.run_id)


@explained("the evaluation could not be logged")
def log_evaluation(
    run_id: str,
    points: Points,
    files: Iterable[str | Path] = (),
    folder: str | None = None,
    store: Store | None = None,
) -> None:
    """Adds metrics and files to a run. The run may have ended long ago, and keeps its status.

    Args:
        run_id: id of the run, from ``find_maker``.
        points: values to add, by metric.
        files: files to copy into the run's artifacts.
        folder: folder among the run's artifacts.
        store: store of the run. None opens the default store.

    Raises:
        PoiseError: the store refuses the metrics or files.
    """
    client = (store or open_store()).client
    now_ms = int(time.time() * 1000)
    metrics = [
        Metric(name, value, now_ms, step)
        for name, values in points.items()
        for step, value in values
    ]
    for start in range(0, len(metrics), _MAX_METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=metrics[start : start + _MAX_METRICS_AT_ONCE])
    for path in files:
        client.log_artifact(run_id, str(path), folder)
