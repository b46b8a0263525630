"""The MLflow store: where it is, and whether this MLflow may touch it.

In: ``MLFLOW_TRACKING_URI`` or the default under ``POISE_HOME``. Out: a ``Store``, opened.
Next: ``poise.tracking.run``.

Only ``MlflowClient`` with explicit addresses is used. MLflow's fluent functions keep their run
per thread and export their address to every process started later; its asynchronous logging
drops metrics without an error.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import mlflow
import requests
import sqlalchemy
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.paths import home

ANSWER_WITHIN_S = 10.0
"""How long a server may take to answer the first request."""

_SCHEMA_VERSIONS = {"dc11669786a5": "3.17.2", "f4a9b2c7d1e6": "3.18.0"}  # measured, not listed

for _name, _level in {
    "alembic": logging.WARNING,
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,  # a traceback per attempt; Poise says it once
}.items():
    logging.getLogger(_name).setLevel(_level)


@dataclass(frozen=True)
class Store:
    """An opened MLflow store. Plain data: it travels to workers, its client does not."""

    uri: str

    artifacts: str | None
    """Folder of new experiments' artifacts; none leaves it to the server."""

    @property
    def client(self) -> MlflowClient:
        """The client of this store; safe to use from several threads."""
        return _client(self.uri)

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is created where there is none."""
        with explained(f"MLflow experiment '{name}'"):
            return self._find_experiment(name) or self._create_experiment(name)

    def search_runs(self, condition: str, experiment_ids: list[str] | None = None) -> list[Run]:
        """All runs that meet a condition, in these experiments or in every one."""
        ids = experiment_ids or [found.experiment_id for found in self.client.search_experiments()]
        runs: list[Run] = []
        token = None
        while token != "":
            page = self.client.search_runs(ids, condition, max_results=1000, page_token=token)
            runs += page
            token = page.token or ""
        return runs

    def _find_experiment(self, name: str) -> str | None:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            return None
        if found.lifecycle_stage != "active":
            raise PoiseError(
                f"MLflow experiment '{name}' was deleted; restore it with `mlflow experiments "
                f"restore --experiment-id {found.experiment_id}` or choose another name"
            )
        return str(found.experiment_id)

    def _create_experiment(self, name: str) -> str:
        folder = f"{self.artifacts}/{name.replace('/', '_')}" if self.artifacts else None
        try:
            return str(self.client.create_experiment(name, artifact_location=folder))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(self.client.get_experiment_by_name(name).experiment_id)


def open_store(uri: str | None = None) -> Store:
    """Opens the store, creating or reaching it; called once, before any worker starts.

    Processes that meet a new SQLite file at the same moment break each other's migration, and a
    newer MLflow upgrades an older file by merely looking at it: both are prevented here.

    Args:
        uri: none means ``MLFLOW_TRACKING_URI``, else SQLite under ``POISE_HOME``.

    Raises:
        PoiseError: the store does not answer, cannot be written, or belongs to another MLflow.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"
    if uri.startswith(("http://", "https://")):
        _await_server(uri)
        return _opened(Store(uri.rstrip("/"), artifacts=None))
    if uri.startswith("sqlite:"):
        return _open_sqlite(uri)
    if "+" in uri.partition("://")[0] or uri.startswith(("postgresql:", "mysql:", "mssql:")):
        return _opened(Store(uri, artifacts=str(home() / "artifacts")))
    raise PoiseError(
        f"MLFLOW_TRACKING_URI={uri}: MLflow no longer keeps runs in plain folders; "
        "use sqlite:////absolute/path/mlflow.db or the http address of an MLflow server"
    )


def check_schema(uri: str) -> None:
    """Refuses a database that another MLflow made, before this one can change it.

    Every process does so before its first look at the store.

    Raises:
        PoiseError: the message says which version to install.
    """
    found = _schema_revision(uri)
    if found is None:
        return
    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if found in scripts.get_heads():
        return
    maker = _SCHEMA_VERSIONS.get(found)
    install = f"install mlflow=={maker}" if maker else "install the MLflow that made it"
    older = any(found == script.revision for script in scripts.walk_revisions())
    upgrade = f", or back it up and run `mlflow db upgrade {redacted(uri)}`" if older else ""
    raise PoiseError(
        f"{redacted(uri)}: has the schema of {'an older' if older else 'a newer'} MLflow "
        f"({found}; installed is {mlflow.__version__}); {install}{upgrade}"
    )


def redacted(uri: str) -> str:
    """An address fit for a message: without its password."""
    return sqlalchemy.make_url(uri).render_as_string(hide_password=True)


@contextmanager
def explained(what: str = "the MLflow store failed") -> Iterator[None]:
    """Turns MLflow's errors into one line for a person; also a decorator."""
    try:
        yield
    except MlflowException as error:
        raise PoiseError(f"{what}: {one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """An exception's message without its line breaks and its tail."""
    return " ".join(str(error).split())[:300]


@lru_cache
def _client(uri: str) -> MlflowClient:
    if not uri.startswith(("http://", "https://")):
        check_schema(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _open_sqlite(uri: str) -> Store:
    name = sqlalchemy.make_url(uri).database
    if not name or name == ":memory:":
        raise PoiseError(f"MLFLOW_TRACKING_URI={uri}: names no file that workers could share")
    path = Path(name).absolute()
    uri = f"sqlite:///{path}"
    with _alone_with(path):
        return _opened(Store(uri, artifacts=str(path.parent / "artifacts")))


@contextmanager
def _alone_with(path: Path) -> Iterator[None]:
    """Holds a lock beside the file, so that one process at a time creates its tables."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError("no permission to write it")
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise PoiseError(
            f"{path}: the MLflow store cannot be written ({error.strerror or error}); "
            "set POISE_HOME to a folder of yours"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _opened(store: Store) -> Store:
    try:
        store.client.search_experiments(max_results=1)
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise PoiseError(
            f"{redacted(store.uri)}: the MLflow store cannot be opened: {one_line(error)}"
        ) from None
    return store


def _await_server(uri: str) -> None:
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_WITHIN_S)
    except requests.RequestException as error:
        raise PoiseError(
            f"MLFLOW_TRACKING_URI={redacted(uri)}: no MLflow server answers there within "
            f"{ANSWER_WITHIN_S:.0f} s ({type(error).__name__}); start it, or unset the variable "
            "to keep runs in a file"
        ) from None
    if answer.status_code >= 400:
        raise PoiseError(
            f"MLFLOW_TRACKING_URI={redacted(uri)}: answers {answer.status_code} "
            f"({answer.reason}); is it an MLflow server, and does its --allowed-hosts name it?"
        )


def _schema_revision(uri: str) -> str | None:
    """The migration that a database stands at; none where it is new."""
    if uri.startswith("sqlite:") and not Path(uri.removeprefix("sqlite:///")).exists():
        return None
    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                return None
            row = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version"))
            return str(row.scalar_one())
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise PoiseError(
            f"{redacted(uri)}: the MLflow store cannot be read: {one_line(error)}"
        ) from None
