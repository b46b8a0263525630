"""Connects to the dashboard of a cluster that Ray's cluster launcher started.

In: the launcher's file. Out: the dashboard's address on this machine, valid during a block. Next:
``poise.cluster.client``.

Such a dashboard accepts only connections from the head node. `ray dashboard FILE` forwards a port
of this machine to the dashboard through SSH.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from poise.cluster.address import ClusterAddress
from poise.cluster.connection import free_port
from poise.config.errors import PoiseError

OPENS_WITHIN_S = 90.0
"""Longest time in seconds to wait until the SSH tunnel is open. While a head node starts, SSH
repeats its attempts.
"""

_RAY = (sys.executable, "-m", "ray.scripts.scripts")
_POLL_S = 0.1
_LOOK_EVERY_S = 2.0
_END_S = 5.0


@contextmanager
def tunnel(file: str, ray: Sequence[str] = _RAY) -> Iterator[ClusterAddress]:
    """Keeps a tunnel to the dashboard open during the block.

    SSH ends the tunnel if the network is lost for some seconds. Then the tunnel is opened again,
    at the same address.

    Args:
        file: file of Ray's cluster launcher.
        ray: command that runs Ray's command line.

    Raises:
        PoiseError: there is no such file, or the tunnel does not open.
    """
    if not Path(file).is_file():
        raise PoiseError(f"--cluster {file}: no such file; it is the one that `ray up` was given")
    port = free_port()
    with TemporaryFile("w+") as output:
        forwarder = _Forwarder([*ray, "dashboard", "--port", str(port), file], output)
        try:
            _wait_until_open(forwarder.process, port, file, output)
            threading.Thread(target=forwarder.keep_up, daemon=True).start()
            yield ClusterAddress(f"http://127.0.0.1:{port}", f"--cluster {file}", file)
        finally:
            forwarder.end()


class _Forwarder:
    """Process that forwards a port. If it ends by itself, ``keep_up`` starts it again."""

    def __init__(self, command: Sequence[str], output: IO[str]) -> None:
        self._command, self._output = command, output
        self._is_over, self._one_at_a_time = threading.Event(), threading.Lock()
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C must not end it before the log's last lines arrive
        )

    def keep_up(self) -> None:
        """Starts the process again each time it has ended, until ``end`` is called."""
        while not self._is_over.wait(_LOOK_EVERY_S):
            with self._one_at_a_time:
                if self.process.poll() is not None and not self._is_over.is_set():
                    self.process = self._start()

    def end(self) -> None:
        """Ends the process for good."""
        self._is_over.set()
        with self._one_at_a_time:
            _end(self.process)


def _wait_until_open(
    process: "subprocess.Popen[bytes]", port: int, file: str, output: IO[str]
) -> None:
    latest = time.monotonic() + OPENS_WITHIN_S
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > latest:
            output.seek(0)
            said = output.read().strip().splitlines() or ["nothing was printed"]
            raise PoiseError(
                f"--cluster {file}: `ray dashboard {file}` does not reach the head node "
                f"({said[-1].strip()[:200]}); start the cluster with `ray up {file}`"
            )
        time.sleep(_POLL_S)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends the tunnel and all its processes."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
            return
