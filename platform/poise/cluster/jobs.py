"""Starts a packaged command as a Ray Job, follows its log and returns its exit status.

In: a ``Job`` and a cluster's address. Out: log lines as they arrive, and an exit status. Next:
`poise.cli.submit`.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from poise.cluster.address import ClusterAddress, check_reachable
from poise.cluster.job_files import Job
from poise.config.errors import PoiseError, one_line

_POLL_S = 0.5
_COMMAND_NOT_FOUND = 127

for _name in (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
    "ray._private.runtime_env.working_dir",
):
    logging.getLogger(_name).setLevel(logging.ERROR)  # Poise reports it once itself


def connect(cluster: ClusterAddress) -> JobSubmissionClient:
    """Makes a client of the cluster's job server.

    Raises:
        PoiseError: the server does not answer, is not a Ray dashboard, or refuses the token.
    """
    check_reachable(cluster)
    with _explained(cluster), _address_variables_hidden():
        return JobSubmissionClient(cluster.url)


def submit(client: JobSubmissionClient, cluster: ClusterAddress, job: Job, name: str) -> None:
    """Uploads the job's folder and starts the job with the id ``name``.

    Raises:
        PoiseError: the name is taken, the folder is too large, or the cluster refuses.
    """
    with _explained(cluster):
        if _exists(client, name):
            raise PoiseError(
                f"--name {name}: {cluster.url} has or had a job of that name; choose another, "
                f"or follow it: {follow_command(cluster, name)}"
            )
        try:
            client.submit_job(
                entrypoint=job.entrypoint, submission_id=name, runtime_env=job.runtime_env
            )
        except ValueError as error:
            folder = job.runtime_env["working_dir"]
            raise PoiseError(
                f"{folder}: cannot be packaged: {error}; leave large files out with .gitignore "
                "or .rayignore"
            ) from None


def follow(
    client: JobSubmissionClient, cluster: ClusterAddress, name: str, write: Callable[[str], object]
) -> int:
    """Writes the job's log as it grows, and returns the exit status of its driver.

    Raises:
        PoiseError: the connection is lost; the job continues.
        KeyboardInterrupt: on Ctrl-C; the job continues.
    """
    try:
        with _ctrl_c_cancels() as ctrl_c, suppress(asyncio.CancelledError):
            asyncio.run(_tail(client, name, write, ctrl_c))
        if ctrl_c.asked:
            raise KeyboardInterrupt
        return _exit_status(client, name)
    except (AuthenticationError, RuntimeError, aiohttp.ClientError, requests.RequestException) as e:
        raise PoiseError(
            f"lost the connection to job {name} at {cluster.url} ({e}); if the cluster is up, the "
            f"job continues: {follow_command(cluster, name)}"
        ) from None


def follow_command(cluster: ClusterAddress, name: str) -> str:
    """Makes the shell command that shows the rest of the job's log."""
    return f"ray job logs --address {cluster.url} --follow {name}"


def stop_command(cluster: ClusterAddress, name: str) -> str:
    """Makes the shell command that stops the job. The job still writes its checkpoint."""
    return f"ray job stop --address {cluster.url} {name}"


async def _tail(
    client: JobSubmissionClient, name: str, write: Callable[[str], object], ctrl_c: "_CtrlC"
) -> None:
    ctrl_c.task = asyncio.current_task()
    if ctrl_c.asked:
        return
    async for lines in client.tail_job_logs(name):
        write(lines)


class _CtrlC:
    """Handler of SIGINT that cancels a task and remembers that it was asked."""

    asked = False
    task: "asyncio.Task[None] | None" = None

    def __call__(self, number: int, frame: object) -> None:
        self.asked = True
        if self.task is not None and not self.task.done():
            self.task.get_loop().call_soon_threadsafe(self.task.cancel)


@contextmanager
def _ctrl_c_cancels() -> Iterator[_CtrlC]:
    """Lets Ctrl-C cancel the task inside.

    A KeyboardInterrupt could come while asyncio makes or closes its loop, which then leaves
    tracebacks behind. Outside of the main thread there are no signals.
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


def _exit_status(client: JobSubmissionClient, name: str) -> int:
    while not (details := client.get_job_info(name)).status.is_terminal():
        time.sleep(_POLL_S)
    if details.status == JobStatus.SUCCEEDED:
        return 0
    if details.driver_exit_code == _COMMAND_NOT_FOUND:
        raise PoiseError(
            f"job {name}: the head node finds no `python`; start Ray there with the environment "
            "that has Poise on PATH (`source .venv/bin/activate` before `ray start`)"
        )
    return details.driver_exit_code or 1


def _exists(client: JobSubmissionClient, name: str) -> bool:
    return any(name in (job.submission_id, job.job_id) for job in client.list_jobs())


@contextmanager
def _address_variables_hidden() -> Iterator[None]:
    """Hides variables that Ray's client would use instead of the given address."""
    names = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _explained(cluster: ClusterAddress) -> Iterator[None]:
    """Turns the client's errors into one line with the fix."""
    try:
        yield
    except AuthenticationError as error:
        raise PoiseError(_explain_refusal(cluster, str(error))) from None
    except (ConnectionError, RuntimeError, requests.RequestException) as error:
        raise PoiseError(
            f"{cluster.source}: {cluster.url} does not answer as a Ray dashboard does: "
            f"{one_line(error)}"
        ) from None


def _explain_refusal(cluster: ClusterAddress, message: str) -> str:
    if "Authentication failed" in message:
        return (
            f"{cluster.url} refuses the token (403): RAY_AUTH_TOKEN, or the file "
            "~/.ray/auth_token, must hold the token that the head node was started with"
        )
    return (
        f"{cluster.url} asks for a token (401): set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN (or "
        "the file ~/.ray/auth_token) to the token that the head node was started with"
    )
