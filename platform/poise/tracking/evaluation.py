"""Evaluations of a finished model, kept with the run that made it.

In: a package's config, figures and files. Out: metrics and artifacts of its run. Next: a person,
who finds them where the training is.
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
"""Pairs of a step and a value, by metric. The metric's name may define another axis."""


def find_maker(config: Mapping[str, Any], store: Store | None = None) -> str | None:
    """The run that made a packaged model, if the store here has it.

    Args:
        config: the package's description.
        store: none opens the default one, and only where the package names a run.
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
    """Adds figures and files to a run, which may have ended long ago; its status stays.

    Args:
        run_id: the run that ``find_maker`` found.
        points: the metrics.
        files: copied into the run's artifacts.
        folder: the folder among these artifacts.
        store: none opens the default one.

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
