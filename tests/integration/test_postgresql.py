"""A whole run against a real MLflow server on PostgreSQL, as docs/cluster/mlflow.md starts it."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests

from poise.tracking.history import read_histories
from poise.tracking.run import create_run
from poise.tracking.store import Store, open_store
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

STEPS = 30
PASSWORD = "of-the-test-alone"


def _programs() -> Path:
    """The folder of PostgreSQL's programs: Debian keeps those of servers apart."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("no driver of PostgreSQL: pip install '.[postgresql]'")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found += [Path(name).resolve() for name in [shutil.which("initdb")] if name]
    if not found:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    return found[0].parent


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root, so root runs it as the user that Debian made for it."""
    if os.getuid() != 0:
        return {}
    try:
        owner = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _running(command: Sequence[str], folder: Path, **options: Any) -> Iterator[Callable[[], None]]:
    """Runs a server, and gives a function that fails with its log if it has ended."""
    path = folder / f"{Path(command[0]).name}.log"
    with path.open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True, **options
        )

    def check() -> None:
        assert process.poll() is None, path.read_text()

    try:
        yield check
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """An empty database on loopback; its address holds no password."""
    programs, user, port = _programs(), _user(), _free_port()
    with TemporaryDirectory(prefix="poise-pg-", dir="/tmp") as name:
        folder = Path(name)
        if user:
            os.chown(folder, user["user"], user["group"])
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        create = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "mlflow", "-A"]
        create += ["scram-sha-256", "--pwfile", str(folder / "password"), "--no-sync"]
        subprocess.run(create, check=True, cwd=folder, stdout=subprocess.DEVNULL, **user)
        serve = [str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
        serve += ["-h", "127.0.0.1", "-k", str(folder), "-c", "fsync=off"]
        with _running(serve, folder, **user):
            _ask(programs, port, "select 1", "postgres")
            _ask(programs, port, "create database mlflow", "postgres")
            yield f"postgresql://mlflow@127.0.0.1:{port}/mlflow"


def _ask(programs: Path, port: int, question: str, database: str) -> None:
    """Asks until PostgreSQL takes connections."""
    command = [str(programs / "psql"), "-qAt", "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow"]
    command += ["-d", database, "-c", question]
    environment = os.environ | {"PGPASSWORD": PASSWORD}
    wait_until(
        lambda: subprocess.run(command, env=environment, capture_output=True).returncode == 0
    )


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's server on the database, with its files in a folder."""
    folder, port = tmp_path_factory.mktemp("server"), _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
    command += ["--artifacts-destination", str(folder / "files"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    environment = os.environ | {
        "PGPASSWORD": PASSWORD,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "50",
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "50",
    }
    url = f"http://127.0.0.1:{port}"
    with _running(command, folder, env=environment) as check:
        wait_until(lambda: check() or _answers(f"{url}/health"))
        yield url


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).ok
    except requests.RequestException:
        return False


def _write_a_run(store: Store, folder: Path) -> str:
    """Writes metrics with the writer that training uses. Returns the run's id."""
    folder.mkdir()
    run = create_run(store, "scenes", folder.name, folder)
    writer = run.open_writer()
    for step in range(1, STEPS + 1):
        writer.log(step, {"loss/total": float(step), "eval/knn_top1": float("nan")})
    writer.close()
    return run.run_id


def test_every_metric_of_a_run_arrives_through_the_server_and_in_the_database(
    server: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = _write_a_run(open_store(server), tmp_path / "run")
    by_server = read_histories(open_store(server), [run_id], ["loss/total"])[run_id]
    assert by_server == [(step, {"loss/total": float(step)}) for step in range(1, STEPS + 1)]
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    direct = read_histories(open_store(database), [run_id])[run_id]
    assert [step for step, _ in direct] == list(range(1, STEPS + 1))
    assert [values["loss/total"] for _, values in direct] == [float(n) for n in range(1, STEPS + 1)]
