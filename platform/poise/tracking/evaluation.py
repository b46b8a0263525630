"""Logs evaluations of a finished model to the run that made the model.

In: a package's config, metrics and files. Out: metrics and artifacts of the run. Next: users, who
find them together with the training.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from poise.tracking.store import Store, explained, open_store

_MAX_METRICS_AT_ONCE = 1000

Points = Mapping[str, Sequence[tuple[int, float]]]
"""Pairs of a step and a value, by metric. For some metrics the step is another axis, such as a
block.
"""


def find_maker(config: Mapping[str, Any], store: Store | None = None) -> str | None:
    """Finds the run that made a packaged model; None if this store does not have it.

    Args:
        config: config of the package.
        store: store to look in. None opens the default store, but only if the package names a run.
    """
    run_id = config.get("lineage", {}).get("run_id")
    if not run_id:
        return None
    try:
        return str((store or open_store()).client.get_run(run_id).info.run_id)
    except MlflowException:
        return None  # made elsewhere


@explained("the evaluation could not be logged")
def log_evaluation(
    run_id: str,
    points: Points,
    files: Iterable[str | Path] = (),
    folder: str | None = None,
    store: Store | None = None,
) -> None:
    """Adds metrics and files to a run, which may have ended long ago. Its status does not change.

    Args:
        run_id: run that ``find_maker`` found.
        points: metrics.
        files: files to copy into the run's artifacts.
        folder: folder among these artifacts.
        store: None opens the default store.

    Raises:
        PoiseError: the store refuses them.
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
