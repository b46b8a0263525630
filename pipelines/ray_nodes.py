"""Starts nodes of Ray on this machine, on the loopback address. A token protects them.

In: a folder and the options of a node. Out: a process of `ray start`. Next:
``pipelines/two_nodes.py``, and the tests of `poise submit`.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"
BIN = Path(sys.executable).parent

Options = Mapping[str, object]
"""Options of `ray start` without their dashes. None is a flag, which has no value."""

_LEAVES_WITHIN_S = 60.0


def free_port() -> int:
    """Returns a port outside those that Ray gives to its workers (10002 to 19999)."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port >= 20000:
            return port


def node_environment(folder: Path, sockets: Path) -> dict[str, str]:
    """Makes the environment of a cluster and of the commands that may talk to it.

    Args:
        folder: home folder; its folder ``runs`` is POISE_HOME.
        sockets: folder of Ray's files. Paths of sockets have at most 107 bytes, so it is short.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {
        "HOME": str(folder),
        "RAY_TMPDIR": str(sockets),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # with Ray's 15, workers of a busy machine get no CPU
        "POISE_HOME": str(folder / "runs"),
        "OMP_NUM_THREADS": "1",
    }


def head_options(dashboard_port: int) -> dict[str, object]:
    """Makes the options of a head node."""
    return {
        "head": None,
        "port": free_port(),
        "dashboard-host": HOST,
        "dashboard-port": dashboard_port,
        "ray-client-server-port": free_port(),
    }


def start_node(
    environment: Mapping[str, str], log: Path, options: Options
) -> subprocess.Popen[bytes]:
    """Starts a node of one CPU in a session of its own, so that all its processes can be killed.

    Args:
        environment: made by ``node_environment``.
        log: file for what the node prints.
        options: options of this node, as well as or instead of the common ones.
    """
    common = {
        "node-ip-address": HOST,
        "dashboard-agent-listen-port": free_port(),
        "num-cpus": 1,
        "object-store-memory": 100_000_000,
    }
    flags = [
        f"--{name}" if value is None else f"--{name}={value}"
        for name, value in {**common, **options}.items()
    ]
    command = [str(BIN / "ray"), "start", "--block", *flags]
    with log.open("w") as written:
        return subprocess.Popen(
            command, env=dict(environment), stdout=written, stderr=written, start_new_session=True
        )


def end_node(process: subprocess.Popen[bytes]) -> None:
    """Ends a node with all its processes, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_LEAVES_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
