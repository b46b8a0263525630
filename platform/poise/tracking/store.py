"""Opens the MLflow store: a SQLite file, a database or an MLflow server.

In: an address. Out: a ``Store`` that many processes can use. Next: ``poise.tracking.run``.

Poise uses only ``MlflowClient`` with explicit addresses. MLflow's module-level functions keep their
run per thread, and pass their address to every process that starts later.
"""

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import sqlalchemy
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.paths import home
from poise.config.redaction import redacted
from poise.tracking.address import read_address, safe_line, sqlite_file
from poise.tracking.database_version import check_schema
from poise.tracking.server import check_answers

for _name, _level in {
    "alembic": logging.WARNING,
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,  # logs a traceback for every attempt
}.items():
    logging.getLogger(_name).setLevel(_level)


@dataclass(frozen=True)
class Store:
    """Opened MLflow store. It can be pickled and sent to workers. Its client cannot."""

    uri: str

    artifacts: str | None
    """Folder for the artifacts of new experiments, or None if the server decides."""

    @property
    def client(self) -> MlflowClient:
        """MLflow client of this store. Several threads may use it."""
        return _client(self.uri)

    @property
    def registry(self) -> Any:
        """Reader of registered models and versions, with the methods of MLflow's client.

        For a database, it does not open the tables of runs. Opening them would take half a second.
        """
        return _registry(self.uri)

    @property
    def is_server(self) -> bool:
        """Whether the store is an MLflow server, not a database that this process opens."""
        return self.uri.startswith(("http://", "https://"))

    def experiment(self, name: str) -> str:
        """Returns the id of an experiment. If the experiment does not exist, it is created."""
        with explained(f"MLflow experiment '{name}'"):
            return self._find_experiment(name) or self._create_experiment(name)

    def search_runs(self, condition: str, experiment_ids: list[str] | None = None) -> list[Run]:
        """Finds all runs that meet a condition, in the given experiments or in all experiments."""
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
        folder = Path(self.artifacts) / name.replace("/", "_") if self.artifacts else None
        try:
            location = _location(folder) if folder else None
            return str(self.client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(self.client.get_experiment_by_name(name).experiment_id)


def open_store(uri: str | None = None, part: Literal["runs", "registry"] = "runs") -> Store:
    """Opens the store and creates it if needed. Call this function before any worker starts.

    It prevents two problems. Processes that open a new SQLite file at the same moment break each
    other's migration. And a newer MLflow changes an older file when it opens it.

    Args:
        uri: address of the store. None means ``MLFLOW_TRACKING_URI``, or else a SQLite file under
            ``POISE_HOME``.
        part: part of the store that must answer now. The other part opens when it is used.

    Raises:
        PoiseError: the store does not answer, is not writable, or belongs to another version of
            MLflow.
    """
    address = read_address(uri or os.environ.get("MLFLOW_TRACKING_URI"))
    if address.kind == "server":
        check_answers(address.uri)
        return Store(address.uri, artifacts=None)
    file = sqlite_file(address.uri)
    if file is None:
        return _opened(Store(address.uri, artifacts=str(home() / "artifacts")), part)
    with _alone_with(file):
        return _opened(Store(address.uri, artifacts=str(file.parent / "artifacts")), part)


@contextmanager
def explained(what: str = "the MLflow store failed") -> Iterator[None]:
    """Turns errors of MLflow into one clear line.

    It works as a ``with`` block and as a decorator.
    """
    try:
        yield
    except MlflowException as error:
        raise PoiseError(f"{what}: {safe_line(error)}") from None


def is_absent(error: Exception) -> bool:
    """Returns True if a store answered that it does not have a run or a version.

    Every other error says nothing about what exists: the store may be down.
    """
    # A store refuses an id that is not of its own form, as that of another store may be.
    codes = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    is_full = "QueuePool" in str(error)  # a server without free connections answers so, too
    return getattr(error, "error_code", None) in codes and not is_full


def is_absent_file(error: Exception) -> bool:
    """Returns True if a file is not among the artifacts of a run. MLflow has no code for that."""
    return is_absent(error) or _NO_FILE.search(str(error)) is not None


_NO_FILE = re.compile(r"No such file|\b404\b|NoSuchKey|Not Found")


class _WaitingClient(MlflowClient):  # type: ignore[misc]
    """MLflow client whose logging calls return only after the store has the data.

    With ``MLFLOW_ENABLE_ASYNC_LOGGING``, MLflow's own calls return at once. If the store refuses
    the data later, the data would be lost without an error.
    """

    def log_batch(self, *arguments: Any, **options: Any) -> Any:
        """Stores metrics, parameters and tags."""
        return super().log_batch(*arguments, **options | _SYNCHRONOUS)

    def log_metric(self, *arguments: Any, **options: Any) -> Any:
        """Stores one value of a metric."""
        return super().log_metric(*arguments, **options | _SYNCHRONOUS)

    def log_param(self, *arguments: Any, **options: Any) -> Any:
        """Stores one parameter."""
        return super().log_param(*arguments, **options | _SYNCHRONOUS)

    def set_tag(self, run_id: str, key: str, value: Any, *_: Any, **__: Any) -> Any:
        """Stores one tag."""
        return super().set_tag(run_id, key, value, **_SYNCHRONOUS)

    def log_image(self, *arguments: Any, **options: Any) -> Any:
        """Stores one picture."""
        return super().log_image(*arguments, **options | _SYNCHRONOUS)


_SYNCHRONOUS = {"synchronous": True}


@lru_cache
def _client(uri: str) -> MlflowClient:
    if not uri.startswith(("http://", "https://")):
        check_schema(uri)
    return _WaitingClient(tracking_uri=uri, registry_uri=uri)


@lru_cache
def _registry(uri: str) -> Any:
    if uri.startswith(("http://", "https://")):
        return _client(uri)
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    check_schema(uri)
    return SqlAlchemyStore(uri)


def _location(folder: Path) -> str:
    """Returns a folder in the form that MLflow needs for artifacts.

    MLflow reads a path as an address. So it would decode ``%20`` and drop everything after ``#``.
    """
    return str(folder) if quote(str(folder)) == str(folder) else folder.as_uri()


@contextmanager
def _alone_with(path: Path) -> Iterator[None]:
    """Locks a file next to the database, so that only one process at a time creates its tables."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise OSError("it is no file")
        path.open("ab").close()  # fails at once; SQLite would try for a minute
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise PoiseError(
            f"{path}: the MLflow store cannot be written ({error.strerror or error}); "
            "set POISE_HOME, or MLFLOW_TRACKING_URI, to a place of yours"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _opened(store: Store, part: str) -> Store:
    try:
        if part == "runs":
            store.client.search_experiments(max_results=1)
        elif not check_schema(store.uri):  # MLflow's own check takes a second
            store.registry.search_registered_models(max_results=1)
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise PoiseError(
            f"{redacted(store.uri)}: the MLflow store cannot be opened: {safe_line(error)}"
        ) from None
    return store
