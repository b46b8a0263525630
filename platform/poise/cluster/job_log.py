"""Follows a job's log until the job ends, even if the connection is lost in between.

In: a client and a job's name. Out: log lines as they arrive, and an exit status. Next:
``poise.cli.submit`` and ``poise.cli.jobs``.
"""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from poise.cluster.address import ClusterAddress
from poise.cluster.client import refusal
from poise.cluster.jobs import attach_command
from poise.config.errors import PoiseError, one_line

PATIENCE_S = 600.0
"""Time in seconds without a connection after which Poise stops following the log."""

SILENCE_S = 60.0
"""Time in seconds without a new line after which Poise connects again. A connection that was lost
while a machine slept looks like the connection of a job that prints nothing.
"""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 15.0
_COMMAND_NOT_FOUND = 127
_LOST = (RuntimeError, OSError, aiohttp.ClientError, requests.RequestException)
logger = logging.getLogger(__name__)


def follow(
    client: JobSubmissionClient,
    cluster: ClusterAddress,
    name: str,
    write: Callable[[str], object],
    patience_s: float = PATIENCE_S,
) -> int:
    """Writes the job's log as it grows, and returns the exit status of the job.

    Args:
        client: client of the cluster.
        cluster: address, for messages.
        name: name of the job.
        write: function that receives the next piece of the log. Each piece is passed only once.
        patience_s: time in seconds in which a lost connection may come back.

    Raises:
        PoiseError: the connection does not come back (the job continues); the cluster does not know
            the job; or the job was stopped.
        KeyboardInterrupt: the user pressed Ctrl-C; the job continues.
    """
    log, lost_since, wait = _Log(write), None, _FIRST_WAIT_S
    while True:
        seen = log.length
        try:
            is_whole = _read_on(client, name, log)
            details = client.get_job_info(name)
        except AuthenticationError as error:
            raise PoiseError(refusal(cluster, str(error))) from None
        except _LOST as error:
            _check_known(cluster, name, error)
            if lost_since is None or log.length > seen:
                logger.info("lost the connection to job %s; trying again …", name)
                lost_since, wait = time.monotonic(), _FIRST_WAIT_S
            if time.monotonic() - lost_since > patience_s:
                raise PoiseError(_given_up(cluster, name, error)) from None
        else:
            if is_whole and details.status.is_terminal():
                return _exit_status(details, name)
            lost_since, wait = None, _FIRST_WAIT_S
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_S)


class _Log:
    """Writes a log without repetition, although each connection sends the log from its start."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self.length = 0

    def reader(self) -> Callable[[str], None]:
        """Returns a function that receives the log from its start and writes only the new part."""
        to_skip = self.length

        def take(text: str) -> None:
            nonlocal to_skip
            new, to_skip = text[to_skip:], max(0, to_skip - len(text))
            if new:
                self._write(new)
                self.length += len(new)

        return take


def _read_on(client: JobSubmissionClient, name: str, log: _Log) -> bool:
    """Reads the log until the server ends it. Returns False if the connection became silent."""
    is_whole = True
    with _ctrl_c_cancels() as ctrl_c, suppress(asyncio.CancelledError):
        is_whole = asyncio.run(_tail(client, name, log.reader(), ctrl_c))
    if ctrl_c.asked:
        raise KeyboardInterrupt
    return is_whole


async def _tail(
    client: JobSubmissionClient, name: str, take: Callable[[str], None], ctrl_c: "_CtrlC"
) -> bool:
    ctrl_c.task = asyncio.current_task()
    if ctrl_c.asked:
        return False
    lines = client.tail_job_logs(name)
    while True:
        try:
            take(await asyncio.wait_for(anext(lines), SILENCE_S))
        except StopAsyncIteration:
            return True
        except TimeoutError:  # Ray's client would wait without end
            return False


class _CtrlC:
    """Handler of SIGINT (Ctrl-C). It cancels a task and remembers that the user pressed Ctrl-C."""

    asked = False
    task: "asyncio.Task[Any] | None" = None

    def __call__(self, number: int, frame: object) -> None:
        self.asked = True
        if self.task is not None and not self.task.done():
            self.task.get_loop().call_soon_threadsafe(self.task.cancel)


@contextmanager
def _ctrl_c_cancels() -> Iterator[_CtrlC]:
    """Makes Ctrl-C cancel the asyncio task that runs in the block.

    Without this handler, Ctrl-C could raise KeyboardInterrupt while asyncio opens or closes its
    loop, and asyncio would print tracebacks. Outside the main thread there is nothing to do,
    because Python delivers signals only to the main thread.
    """
    ctrl_c = _CtrlC()
    if threading.current_thread() is not threading.main_thread():
        yield ctrl_c
        return
    before = signal.signal(signal.SIGINT, ctrl_c)
    try:
        yield ctrl_c
    finally:
        signal.signal(signal.SIGINT, before)


def _check_known(cluster: ClusterAddress, name: str, error: Exception) -> None:
    if "does not exist" in str(error):
        raise PoiseError(
            f"{name}: {cluster.url} does not know this job any more: its head node was started "
            "anew; the same command, sent again, continues a run or study"
        ) from None


def _given_up(cluster: ClusterAddress, name: str, error: Exception) -> str:
    return (
        f"lost the connection to job {name} at {cluster.url} ({one_line(error, 200)}); if the "
        f"cluster is up, the job continues: {attach_command(cluster, name)}"
    )


def _exit_status(details: JobDetails, name: str) -> int:
    if details.status == JobStatus.SUCCEEDED:
        return 0
    if details.status == JobStatus.STOPPED:
        raise PoiseError(f"job {name} was stopped; the same command, sent again, continues it")
    if details.driver_exit_code == _COMMAND_NOT_FOUND:
        raise PoiseError(
            f"job {name}: the head node finds no Python; start Ray there from an environment that "
            "has Poise (`.venv/bin/ray start …`)"
        )
    if details.driver_exit_code is None:
        raise PoiseError(f"job {name} did not run: {one_line(details.message, 400)}")
    return int(details.driver_exit_code) or 1
