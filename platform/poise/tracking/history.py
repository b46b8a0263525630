"""What runs have stored, read back: a study's run, its files, the metrics of many runs at once.

In: a store. Out: plain data. Next: ``poise.reports``.

MLflow's client is asked for one metric of one run at a time and builds an object per point, which
takes minutes for a study of hundreds of trials. A database is asked here for all metrics of a run
in one query; a server is asked through the client, for several runs at a time.
"""

import json
import math
import socket
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlMetric

from poise.config import PoiseError
from poise.diagnostics.history import History
from poise.tracking.address import redacted
from poise.tracking.environment import another_holds
from poise.tracking.run import Run, history, run_key, study_key, unclipped
from poise.tracking.store import Store, explained, one_line

_REQUESTS_AT_ONCE = 4
"""More than a server's pool of connections holds would make it refuse some of them."""


@explained()
def find_study_run(store: Store, name: str, folder: str | Path) -> Run | None:
    """The parent run of a study, as it is; none where the study has not begun."""
    found = store.search_runs(f"tags.`poise.key` = '{study_key(name)}'")
    newest = max(found, key=lambda run: run.info.start_time, default=None)
    if newest is None:
        return None
    return Run(store, newest.info.run_id, newest.info.experiment_id, str(folder))


@explained()
def read_trial_statuses(study: Run) -> dict[str, str]:
    """The status of every run of a study's trials, by its id."""
    trials = f"tags.`mlflow.parentRunId` = '{study.run_id}'"
    found = study.store.search_runs(trials, [study.experiment_id])
    return {str(run.info.run_id): str(run.info.status) for run in found}


def read_tags(run: Run) -> dict[str, str]:
    """What was said of a run."""
    with explained():
        return dict(run.store.client.get_run(run.run_id).data.tags)


@explained()
def find_finished(store: Store, experiment: str, name: str) -> str | None:
    """The id of a single pretraining's run that is FINISHED; none where there is none."""
    condition = f"tags.`poise.key` = '{run_key(name)}' AND attributes.status = 'FINISHED'"
    found = store.search_runs(condition, [store.experiment(experiment)])
    return str(found[0].info.run_id) if found else None


@explained()
def is_carried_out(run: Run) -> bool:
    """Whether another process is at work on a run.

    Whether a process of another machine lives cannot be seen from here: there its status counts.
    """
    found = run.store.client.get_run(run.run_id)
    elsewhere = found.data.tags["poise.host"] != socket.gethostname()
    return found.info.status == "RUNNING" and (elsewhere or another_holds(found.data.tags))


def read_json_file(run: Run, name: str) -> dict[str, Any]:
    """A JSON artifact; empty where there is none."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = run.store.client.download_artifacts(run.run_id, name, scratch)
            content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        except (MlflowException, OSError, json.JSONDecodeError):
            return {}
    return content


def read_histories(
    store: Store, run_ids: Sequence[str], metrics: Collection[str] | None = None
) -> dict[str, History]:
    """Metrics of runs, by step; of a step that was trained again, the later value.

    Args:
        store: where the runs are.
        run_ids: of the runs; one without any of the metrics has an empty history.
        metrics: their names; none for all that the runs have.
    """
    if store.is_server:
        return _from_server(store, run_ids, metrics)
    try:
        return dict(_from_database(store, run_ids, metrics))
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise PoiseError(
            f"{redacted(store.uri)}: metrics cannot be read: {one_line(error)}"
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
