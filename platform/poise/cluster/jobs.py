"""Starts, lists and stops jobs on a cluster.

In: a ``Job`` and a client of the cluster. Out: Ray's information about jobs, as plain data. Next:
``poise.cluster.job_log`` follows a job; ``poise.cli.submit`` and ``poise.cli.jobs`` print jobs.
"""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient, JobType

from poise.cluster.address import ClusterAddress
from poise.cluster.client import explained
from poise.cluster.job_entry import CLEANUP_S, Job
from poise.config.errors import PoiseError, did_you_mean, first_few

STUDY, COMMAND = "poise_study", "poise_command"
"""Keys of a job's metadata: the name of its run or study, and its command."""

_POLL_S = 0.5
_SECONDS_TO_KILL = 15
"""Time in seconds that Ray may take to end a job, after the job's own time for cleaning up."""

ASKING = "poise-check-"
"""First part of the names of small jobs that only test the cluster."""


@dataclass(frozen=True)
class JobState:
    """State of one job, as the cluster reports it."""

    name: str
    status: str
    """PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED."""

    command: str
    study: str | None
    started_s: float | None
    """Time of the start, in seconds since 1970."""

    ended_s: float | None
    exit_status: int | None

    @property
    def is_over(self) -> bool:
        """Whether the job has ended: it succeeded, failed or was stopped."""
        return bool(JobStatus(self.status).is_terminal())


def submit(client: JobSubmissionClient, cluster: ClusterAddress, job: Job, name: str) -> None:
    """Uploads the job's files and starts the job with the id ``name``.

    Raises:
        PoiseError: the name is taken, the files are too large, or the cluster refuses the job.
    """
    refuse_taken_name(list_jobs(client, cluster), cluster, name)
    with explained(cluster):
        try:
            client.submit_job(
                entrypoint=job.entrypoint,
                submission_id=name,
                runtime_env=job.runtime_env,
                metadata=dict(job.metadata),
            )
        except ValueError as error:
            raise PoiseError(f"the job's files cannot be sent: {error}") from None


def refuse_taken_name(jobs: Sequence[JobState], cluster: ClusterAddress, name: str) -> None:
    """Raises an error if one of the cluster's jobs has this name.

    Raises:
        PoiseError: the name is taken.
    """
    if any(job.name == name for job in jobs):
        raise PoiseError(
            f"--name {name}: {cluster.url} has or had a job of that name; choose another, "
            f"or follow it: {attach_command(cluster, name)}"
        )


def list_jobs(client: JobSubmissionClient, cluster: ClusterAddress) -> list[JobState]:
    """Returns all jobs that were sent to the cluster since its head started, newest first.

    Small jobs that only test the cluster are left out.
    """
    return [job for job in _every_job(client, cluster) if not job.name.startswith(ASKING)]


def _every_job(client: JobSubmissionClient, cluster: ClusterAddress) -> list[JobState]:
    with explained(cluster):
        found = [each for each in client.list_jobs() if each.type == JobType.SUBMISSION]
    return [_state(each) for each in sorted(found, key=lambda job: -(job.start_time or 0))]


def find_job(client: JobSubmissionClient, cluster: ClusterAddress, name: str) -> JobState:
    """Returns the job with this name.

    Raises:
        PoiseError: the cluster knows no such job.
    """
    jobs = _every_job(client, cluster)
    for job in jobs:
        if job.name == name:
            return job
    names = [job.name for job in jobs if not job.name.startswith(ASKING)]
    holds = did_you_mean(name, names, f"it knows {first_few(names) or 'none'}")
    raise PoiseError(f"{name}: {cluster.url} knows no such job; {holds}")


def stop(client: JobSubmissionClient, cluster: ClusterAddress, name: str) -> JobState:
    """Stops a job and waits until it has ended. The job may write a checkpoint before it ends.

    Raises:
        PoiseError: there is no such job, or it does not end in time.
    """
    job = find_job(client, cluster, name)
    if job.is_over:
        return job
    with explained(cluster):
        client.stop_job(name)
    latest = time.monotonic() + CLEANUP_S + _SECONDS_TO_KILL
    while not (job := find_job(client, cluster, name)).is_over:
        if time.monotonic() > latest:
            raise PoiseError(
                f"{name}: was told to stop and still runs after {CLEANUP_S + _SECONDS_TO_KILL} s; "
                "see `poise jobs logs`, and the head node"
            )
        time.sleep(_POLL_S)
    return job


def attach_command(cluster: ClusterAddress, name: str) -> str:
    """Returns the shell command that shows the job's log until the job ends."""
    return f"poise jobs attach {cluster.option} {name}"


def stop_command(cluster: ClusterAddress, name: str) -> str:
    """Returns the shell command that stops the job. The job first writes its checkpoint."""
    return f"poise jobs stop {cluster.option} {name}"


def _state(details: JobDetails) -> JobState:
    metadata: Mapping[str, str] = details.metadata or {}
    return JobState(
        name=str(details.submission_id),
        status=str(details.status),
        command=metadata.get(COMMAND) or _shortened(details.entrypoint),
        study=metadata.get(STUDY),
        started_s=None if details.start_time is None else details.start_time / 1000,
        ended_s=details.end_time / 1000 if details.end_time else None,
        exit_status=details.driver_exit_code,
    )


def _shortened(entrypoint: str) -> str:
    """Shortens a job's command to one line, if a program other than Poise has sent the job."""
    try:
        return shlex.join(shlex.split(entrypoint))[:80]
    except ValueError:
        return entrypoint[:80]
