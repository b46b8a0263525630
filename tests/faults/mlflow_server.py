"""An MLflow server that can be killed and brought back, at the same address.

In: a store of MLflow in a file. Out: the server's address. Next: ``tests.faults.cluster_faults``.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from poise.cluster.connection import free_port
from tests.waiting import wait_until


@dataclass
class Server:
    """MLflow's server on this machine."""

    database: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the server, and returns when it answers."""
        command = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--workers", "1"]
        store = ["--backend-store-uri", f"sqlite:///{self.database}"]
        files = ["--artifacts-destination", str(self.database.parent / "files")]
        self.process = subprocess.Popen(
            [*command, *store, *files, "--host", "127.0.0.1", "--port", str(self.port)],
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers)

    def kill(self) -> None:
        """Kills all processes of the server."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, "the server has ended"
        try:
            return requests.get(f"{self.url}/health", timeout=10).ok
        except requests.RequestException:
            return False


@contextmanager
def serving(database: Path) -> Iterator[Server]:
    """Runs a server during the block."""
    server = Server(database, free_port())
    try:
        server.start()
        yield server
    finally:
        server.kill()
