"""Runs a function on a cluster as a small job, and reads its result.

In: a client, the files of a job, and a function to call on the cluster. Out: the return value of
the function. Next: ``poise.cli.submit`` and ``poise.cli.doctor_cluster``.

Only a job can test what the cluster's machines reach: storage, the MLflow server, every node.
"""

import importlib
import json
import sys
import time
from contextlib import suppress
from secrets import token_hex
from typing import Any

from ray.job_submission import JobSubmissionClient

from poise.cluster.address import ClusterAddress
from poise.cluster.client import explained
from poise.cluster.job_entry import Job
from poise.cluster.jobs import ASKING, JobState, find_job, submit
from poise.config.errors import PoiseError, one_line

ANSWER_WITHIN_S = 600.0
"""Longest time in seconds from sending the small job that tests the cluster to the job's end."""

_MARK = "POISE-ANSWER "
_POLL_S = 0.25
_THIS = "poise.cluster.remote_call"


def ask(
    client: JobSubmissionClient, cluster: ClusterAddress, job: Job, function: str, question: Any
) -> Any:
    """Calls a function on the cluster's head node, and returns the function's result.

    Args:
        client: client of the cluster.
        cluster: address, for messages.
        job: job whose files and settings the small job gets.
        function: function of one argument that returns plain values: ``poise.module:function``.
        question: argument of the function, of plain values.

    Raises:
        PoiseError: the small job does not run, or the function raises an error.
    """
    name = f"{ASKING}{token_hex(4)}"
    submit(client, cluster, job.running(_THIS, [function, json.dumps(question)]), name)
    try:
        ended = _wait_for(client, cluster, name)
        with explained(cluster):
            log = client.get_job_logs(name)
    finally:
        _remove(client, name)
    return _answer_in(log, ended)


def _answer(function: str, question: Any) -> None:
    """Calls the function and prints its result. This code runs on the cluster."""
    module, _, name = function.partition(":")
    try:
        found = {"answer": getattr(importlib.import_module(module), name)(question)}
    except PoiseError as error:
        found = {"error": str(error)}
    print(f"\n{_MARK}{json.dumps(found)}", flush=True)


def _wait_for(client: JobSubmissionClient, cluster: ClusterAddress, name: str) -> JobState:
    latest = time.monotonic() + ANSWER_WITHIN_S
    while not (job := find_job(client, cluster, name)).is_over:
        if time.monotonic() > latest:
            raise PoiseError(
                f"{cluster.source}: a small job that looks at the cluster is {job.status} after "
                f"{ANSWER_WITHIN_S:.0f} s; the head node may be overloaded, or have no free memory "
                "(`ray status` there)"
            )
        time.sleep(_POLL_S)
    return job


def _remove(client: JobSubmissionClient, name: str) -> None:
    """Ends and deletes the small job that tests the cluster.

    If Ray does not delete the job, ``list_jobs`` hides it.
    """
    with suppress(Exception):  # Ray refuses to stop a job that has ended
        client.stop_job(name)
    with suppress(Exception):  # Ray refuses to delete a job that seems to run
        client.delete_job(name)


def _answer_in(log: str, ended: JobState) -> Any:
    for line in log.splitlines():
        if line.startswith(_MARK):
            found = json.loads(line.removeprefix(_MARK))
            if "error" in found:
                raise PoiseError(f"on the cluster: {found['error']}")
            return found["answer"]
    lines = [line for line in log.splitlines() if line.strip()] or ["it printed nothing"]
    absent = [line for line in lines if "No module named" in line]
    if absent:
        missing = absent[-1].rpartition("No module named")[2].strip()
        raise PoiseError(
            f"the Python of the cluster's workers has no module {missing}: install Poise there "
            "(`make install`), and start Ray from that environment (`.venv/bin/ray start …`)"
        )
    raise PoiseError(
        f"a small job that looks at the cluster failed with exit status {ended.exit_status}: "
        f"{one_line(lines[-1], 300)}"
    )


if __name__ == "__main__":
    _answer(sys.argv[1], json.loads(sys.argv[2]))
