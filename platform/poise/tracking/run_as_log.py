"""Reads an MLflow run as a log. Any program may have written the run.

In: the id of a run. Out: a ``Log``. Next: `poise judge`.
"""

from poise.config.errors import PoiseError
from poise.config.redaction import redacted
from poise.diagnostics.history import History
from poise.diagnostics.logs.log import Log
from poise.tracking.history import read_histories
from poise.tracking.known_run import stored_run
from poise.tracking.store import Store, explained, open_store

_WITHOUT_STEPS = (
    "all values have step 0, so only the newest value of each metric is judged. Log them with "
    "mlflow.log_metric(NAME, VALUE, step=STEP)."
)
"""Sentence about a run whose program logged no steps. MLflow then stores the step 0."""


def read_run(run_id: str, uri: str | None = None) -> Log:
    """Reads all metrics and parameters of a run.

    Args:
        run_id: id of the run.
        uri: address of the run's store. None means ``MLFLOW_TRACKING_URI``, or else a SQLite file
            under ``POISE_HOME``.

    Raises:
        PoiseError: the store does not answer, or the run does not exist or has no metrics.
    """
    store = open_store(uri)
    with explained():
        found = stored_run(store, run_id)
    if found is None:
        raise PoiseError(
            f"runs:/{run_id}: the store {redacted(store.uri)} has no such run; name the store that "
            "has it with --store URI"
        )
    history = read_histories(store, [run_id], None)[run_id]
    if not history:
        raise PoiseError(f"runs:/{run_id}: has no metrics yet")
    rows = sum(len(metrics) for _, metrics in history)
    parameters = dict(found.data.params)
    notes = (_WITHOUT_STEPS,) if _has_no_steps(store, run_id, history) else ()
    return Log(f"runs:/{run_id}", "MLflow", "step", history, rows, notes, parameters)


def _has_no_steps(store: Store, run_id: str, history: History) -> bool:
    """Returns True if all values have step 0, and a metric has several of them.

    A single value of each metric is no sign of a mistake. For example, Poise logs step 0 before
    training.
    """
    step, metrics = history[-1]
    if step != 0:
        return False
    with explained():
        return any(len(store.client.get_metric_history(run_id, name)) > 1 for name in metrics)
