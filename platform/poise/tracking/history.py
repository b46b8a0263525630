"""Reads stored runs: a study's run, its files, and the metrics of many runs at once.

In: a store. Out: histories, tags and other plain data. Next: ``poise.reports``.

MLflow's client reads one metric of one run per request, and makes an object for each point. For a
study with hundreds of trials, this takes minutes. So a database is read directly, with one query
for all metrics of a run. From a server, the client reads several runs in parallel.
"""

import json
import math
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlMetric

from poise.config import PoiseError
from poise.config.redaction import redacted
from poise.diagnostics.history import History
from poise.tracking.address import safe_line
from poise.tracking.known_run import controller_lives
from poise.tracking.metric_values import history, unclipped
from poise.tracking.run import Run, find_run, run_key, study_key
from poise.tracking.run_lock import Holder
from poise.tracking.store import Store, explained, is_absent_file

_REQUESTS_AT_ONCE = 4
"""Number of parallel requests. A server refuses requests beyond the size of its connection pool."""


@explained()
def find_study_run(store: Store, name: str, folder: str | Path) -> Run | None:
    """Finds the parent run of a study and does not change it.

    Returns None if the study has no run.
    """
    found = find_run(store, study_key(name), Path(folder))
    if found is None:
        return None
    return Run(store, found.info.run_id, found.info.experiment_id, str(folder))


@explained()
def read_trial_statuses(study: Run) -> dict[str, str]:
    """Maps the id of each trial's run to the status of this run."""
    trials = f"tags.`mlflow.parentRunId` = '{study.run_id}'"
    found = study.store.search_runs(trials, [study.experiment_id])
    return {str(run.info.run_id): str(run.info.status) for run in found}


def read_tags(run: Run) -> dict[str, str]:
    """Returns the tags of a run."""
    with explained():
        return dict(run.store.client.get_run(run.run_id).data.tags)


@explained()
def find_finished(store: Store, name: str, folder: str | Path) -> str | None:
    """Returns the id of a pretraining's run if its status is FINISHED, else None."""
    found = find_run(store, run_key(name), Path(folder))
    is_finished = found is not None and found.info.status == "FINISHED"
    return str(found.info.run_id) if found is not None and is_finished else None


@explained()
def is_carried_out(run: Run) -> bool:
    """Returns True if another process is working on a run.

    If nobody can tell whether that process is alive, the run's status decides.
    """
    found = run.store.client.get_run(run.run_id)
    holder = Holder.from_tags(found.data.tags)
    if found.info.status != "RUNNING" or (holder is not None and holder.is_this_process):
        return False
    return controller_lives(found) is not False


def read_json_file(run: Run, name: str) -> dict[str, Any]:
    """Reads a JSON artifact. Returns an empty dict if the artifact does not exist."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = run.store.client.download_artifacts(run.run_id, name, scratch)
            content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            return {}
        except (MlflowException, OSError) as error:
            if not is_absent_file(error):
                raise PoiseError(f"{name}: cannot be fetched: {safe_line(error)}") from None
            return {}
    return content


def read_histories(
    store: Store, run_ids: Sequence[str], metrics: Collection[str] | None = None
) -> dict[str, History]:
    """Reads metrics of runs by step. If a step was trained twice, the later value is returned.

    Args:
        store: store of the runs.
        run_ids: ids of the runs. A run without these metrics has an empty history.
        metrics: names of the metrics. None means all metrics of the runs.
    """
    if store.is_server:
        return _from_server(store, run_ids, metrics)
    try:
        return dict(_from_database(store, run_ids, metrics))
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise PoiseError(
            f"{redacted(store.uri)}: metrics cannot be read: {safe_line(error)}"
        ) from None


def _from_database(
    store: Store, run_ids: Sequence[str], metrics: Collection[str] | None
) -> Iterator[tuple[str, History]]:
    table: Any = SqlMetric.__table__
    columns = (table.c.step, table.c.key, table.c.value, table.c.is_nan)
    query = sqlalchemy.select(*columns).order_by(table.c.timestamp)
    if metrics is not None:
        query = query.where(table.c.key.in_(list(metrics)))
    engine = sqlalchemy.create_engine(store.uri, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        for run_id in run_ids:
            by_step: dict[int, dict[str, float]] = {}
            for step, key, value, is_nan in connection.execute(
                query.where(table.c.run_uuid == run_id)
            ):
                by_step.setdefault(step, {})[key] = math.nan if is_nan else unclipped(value)
            yield run_id, sorted(by_step.items())


@explained()
def _from_server(
    store: Store, run_ids: Sequence[str], metrics: Collection[str] | None
) -> dict[str, History]:
    def read(run_id: str) -> History:
        logged = store.client.get_run(run_id).data.metrics
        wanted = logged if metrics is None else [name for name in metrics if name in logged]
        return _by_step(history(store, run_id, wanted))

    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        return dict(zip(run_ids, pool.map(read, run_ids), strict=True))


def _by_step(points: Mapping[str, Sequence[tuple[int, float]]]) -> History:
    by_step: dict[int, dict[str, float]] = {}
    for name, pairs in points.items():
        for step, value in pairs:
            by_step.setdefault(step, {})[name] = value
    return sorted(by_step.items())
