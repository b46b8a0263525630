import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal
from unittest.mock import MagicMock

import numpy as np
import pytest

from poise.config import PoiseError
from poise.tracking import store as tracking_store
from poise.tracking.run import create_run, set_tags
from poise.tracking.store import Store, open_store


def test_default_store_is_an_absolute_file_whatever_folder_a_worker_stands_in(
    store: Store, tmp_path: Path
) -> None:
    assert store.uri == f"sqlite:///{tmp_path}/home/mlflow.db"
    experiment = store.client.get_experiment(store.experiment("scenes"))
    assert experiment.artifact_location == f"{tmp_path}/home/artifacts/scenes"


def test_a_relative_file_in_the_variable_is_made_absolute(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert open_store().uri == store.uri


def test_opening_a_store_tells_later_processes_no_address(store: Store) -> None:
    store.experiment("scenes")
    addresses = {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"}
    assert not addresses & set(os.environ)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize("part", ["runs", "registry"])
@pytest.mark.parametrize(
    ("revision", "advice"),
    [
        ("f4a9b2c7d1e6", "a newer MLflow .*; install mlflow==3.18.0"),
        ("000000000000", "a newer MLflow .*; install the MLflow that made it"),
        ("451aebb31d03", "an older MLflow .*`mlflow db upgrade"),
    ],
)
def test_a_store_of_another_mlflow_is_refused_and_left_as_it_was(
    tmp_path: Path, revision: str, advice: str, part: Literal["runs", "registry"]
) -> None:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES (?)", [revision])
    before = path.read_bytes()
    with pytest.raises(PoiseError, match=advice):
        open_store(f"sqlite:///{path}", part)
    assert path.read_bytes() == before


def test_mlflows_registry_is_opened_only_for_a_database_without_tables(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # MLflow's own check of the tables took as long as the list of 10,000 versions.
    opened = MagicMock()
    monkeypatch.setattr(tracking_store, "_registry", opened)
    assert open_store(part="registry") == store
    assert not opened.called
    new = open_store(f"sqlite:///{tmp_path}/new.db", part="registry")
    opened.assert_called_once_with(new.uri)


def test_a_server_that_does_not_answer_is_named_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(PoiseError, match=f"{uri}.*no MLflow server answers"):
        open_store(uri)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PoiseError, match=r"cannot be written .*; set POISE_HOME"):
        open_store(f"sqlite:///{tmp_path}/file/mlflow.db")


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "sqlite://"])
def test_a_store_that_workers_cannot_share_is_refused(uri: str) -> None:
    with pytest.raises(PoiseError, match="MLFLOW_TRACKING_URI"):
        open_store(uri)


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to be looked at" * 40)
    with pytest.raises(PoiseError, match="cannot be read"):
        open_store(f"sqlite:///{tmp_path}/mlflow.db")


def test_the_database_of_another_program_gets_none_of_mlflows_tables(tmp_path: Path) -> None:
    # MLflow added its sixty tables to it.
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE photos (id INTEGER)")
        database.commit()
    before = path.read_bytes()
    with pytest.raises(PoiseError, match=r"another program \(it has the table 'photos'"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_path_that_sqlite_cannot_open_is_refused_at_once(tmp_path: Path) -> None:
    # SQLAlchemy tried again for minutes.
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere" / "mlflow.db")
    (tmp_path / "loop.db").symlink_to(tmp_path / "loop.db")
    os.mkfifo(tmp_path / "fifo.db")
    for name in ("link.db", "loop.db", "fifo.db"):
        with pytest.raises(PoiseError, match=rf"{name}: the MLflow store cannot be written"):
            open_store(f"sqlite:///{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("uri", "advice"),
    [
        ("mysql://me:secret@127.0.0.1:1/runs", "needs the Python package 'mysqlclient'"),
        ("postgresql+nosuch://me:secret@127.0.0.1:1/runs", "nosuch; .*correct MLFLOW_TRACKING_URI"),
    ],
)
def test_a_database_without_its_driver_is_one_line_with_the_package(uri: str, advice: str) -> None:
    with pytest.raises(PoiseError, match=advice) as raised:
        open_store(uri)
    assert "secret" not in str(raised.value) and "sqlalche.me" not in str(raised.value)


def test_a_deleted_experiment_is_not_written_to(store: Store) -> None:
    store.client.delete_experiment(store.experiment("scenes"))
    with pytest.raises(PoiseError, match="mlflow experiments restore"):
        store.experiment("scenes")


def test_mlflows_asynchronous_logging_is_never_used_though_the_environment_asks_for_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns with nothing stored, and loses what the store refuses later."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    run = create_run(store, "scenes", "dino-tiny", tmp_path)
    client, file = store.client, tmp_path / "home" / "mlflow.db"
    with closing(run.open_writer()) as writer:
        writer.log(1, {"loss/total": 0.5})
        writer.flush()
        assert rows(file, "metrics", "loss/total") == 1
    client.log_param(run.run_id, "seed", 0)
    client.log_metric(run.run_id, "x", 1.0)
    client.set_tag(run.run_id, "one", "1")
    set_tags(run, {"two": "2"})
    for table, key in (("params", "seed"), ("metrics", "x"), ("tags", "one"), ("tags", "two")):
        assert rows(file, table, key) == 1, key
    client.log_image(run.run_id, np.zeros((2, 2, 3), np.uint8), key="view", step=1)
    assert list((tmp_path / "home" / "artifacts").rglob("*.png"))


def rows(file: Path, table: str, key: str) -> int:
    """How many rows of a table have this key, read past MLflow."""
    with closing(sqlite3.connect(file)) as database:
        count: int = database.execute(
            f"SELECT count(*) FROM {table} WHERE key = ?", [key]
        ).fetchone()[0]
    return count
