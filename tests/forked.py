"""Processes that are forked from a server of a test's own, which has imported what they need."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import Any

import pytest


@contextmanager
def own_server(*modules: str) -> Iterator[None]:
    """Forks processes of the method "forkserver" from a new server, which imports ``modules`` once.

    ``multiprocessing`` has one server for each process. It imports what the first user asked for.
    Once a test has cut views in other processes, each process of a later test would import its
    modules again, which takes seconds.
    """
    server: Any = forkserver.ForkServer()
    server.set_forkserver_preload([*modules])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forkserver, "connect_to_new_process", server.connect_to_new_process)
        try:
            yield
        finally:
            if server._forkserver_pid is not None:
                os.kill(server._forkserver_pid, signal.SIGKILL)  # its own end clears all modules
            server._stop()
