"""A head node of our own that asks for a token, and commands that talk to it.

``python -m tests.integration.head_node PORT`` runs one in the current folder until it is ended.
"""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipelines.ray_nodes import (
    HOST,
    end_node,
    free_port,
    head_options,
    node_environment,
    start_node,
)
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True)
class Head:
    """A running head node, and the environment that may talk to it."""

    url: str
    environment: dict[str, str]

    def start(
        self, *words: str, folder: Path = REPOSITORY, variables: Mapping[str, str] = NO_VARIABLES
    ) -> subprocess.Popen[str]:
        """Starts a `poise` command that knows the cluster by RAY_ADDRESS."""
        return subprocess.Popen(
            [sys.executable, "-m", "poise.cli.main", *words],
            env={**self.environment, "RAY_ADDRESS": self.url, **variables},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *words: str, folder: Path = REPOSITORY, variables: Mapping[str, str] = NO_VARIABLES
    ) -> subprocess.CompletedProcess[str]:
        """Runs a `poise` command to its end."""
        process = self.start(*words, folder=folder, variables=variables)
        output, errors = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, output, errors)


@contextmanager
def head_node(
    folder: Path, agent_port: int | None = None, options: Mapping[str, object] = NO_OPTIONS
) -> Iterator[Head]:
    """Starts a head node whose files are in ``folder``.

    Its environment's Python is not on its PATH, as after `.venv/bin/ray start`.
    """
    own = {"dashboard-agent-listen-port": agent_port or free_port()}
    used = {**head_options(free_port()), **own, **options}
    url, log = f"http://{HOST}:{used['dashboard-port']}", folder / "log"
    # pytest's own folders are too long for the paths of Ray's sockets.
    with tempfile.TemporaryDirectory(prefix="poise-", dir="/tmp") as sockets:
        environment = node_environment(folder, Path(sockets))
        process = start_node(environment | {"PATH": os.defpath}, log, used)
        try:
            _wait_for(f"{url}/api/gcs_healthz", process, log)
            yield Head(url, environment)
        finally:
            end_node(process)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            return False
        return True

    wait_until(answers)


def main(port: int) -> None:
    """Runs a head node with room for a small run, whose token is in the home of this folder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    folder = Path.cwd()
    (folder / "runs").mkdir(exist_ok=True)
    with head_node(folder, options={"dashboard-port": port, "num-cpus": 4}) as head:
        token = folder / ".ray" / "auth_token"
        token.parent.mkdir(exist_ok=True)
        token.touch(mode=0o600)
        token.write_text(head.environment["RAY_AUTH_TOKEN"], encoding="utf-8")
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]))
