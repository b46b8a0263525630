"""`poise jobs`: lists, follows and stops the jobs on a Ray cluster."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.console import print_table
from poise.cli.output import Output, prints
from poise.cli.submit import AddressOption, ClusterOption, follow_to_end, reached
from poise.cluster.authentication import use_own_token

if TYPE_CHECKING:
    from poise.cluster.jobs import JobState

app = typer.Typer(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job.")]


@app.callback()
def jobs() -> None:
    """List, follow and stop the jobs on a Ray cluster.

    The cluster is the one of RAY_ADDRESS, --address or --cluster.

    Example: poise jobs list --address http://HEAD:8265

    Example: poise jobs attach collapse-4f2a91c3
    """
    use_own_token()  # before a command loads Ray


@app.command("list")
@prints
def list_(address: AddressOption = None, cluster: ClusterOption = None) -> Output:
    """List the jobs that were sent to the cluster since its head started, newest first.

    With --quiet, the command prints only the names of the jobs.

    Example: poise jobs list --address http://HEAD:8265
    """
    from poise.cluster.client import connect
    from poise.cluster.jobs import list_jobs

    with reached(address, cluster) as there:
        found = list_jobs(connect(there), there)

    def show() -> None:
        if not found:
            print(f"{there.url} knows no jobs")
            return
        rows = [[job.name, job.status, *_times(job), job.command] for job in found]
        print_table(["job", "status", "started", "duration", "command"], rows)

    return Output(lambda: [asdict(job) for job in found], [job.name for job in found], show)


@app.command()
def logs(job: NameArgument, address: AddressOption = None, cluster: ClusterOption = None) -> None:
    """Print what a job has printed so far.

    Example: poise jobs logs collapse-4f2a91c3 > collapse.log
    """
    from poise.cluster.client import connect, explained
    from poise.cluster.jobs import find_job

    with reached(address, cluster) as there:
        client = connect(there)
        find_job(client, there, job)
        with explained(there):
            printed = client.get_job_logs(job)
        sys.stdout.write(printed)


@app.command()
def attach(job: NameArgument, address: AddressOption = None, cluster: ClusterOption = None) -> None:
    """Print the log of a job until the job ends, and exit with the job's exit status.

    Ctrl-C ends only this command. The job continues.

    Example: poise jobs attach collapse-4f2a91c3 --address http://HEAD:8265
    """
    from poise.cluster.client import connect
    from poise.cluster.jobs import find_job

    with reached(address, cluster) as there:
        client = connect(there)
        find_job(client, there, job)
        follow_to_end(client, there, job)


@app.command()
@prints
def stop(job: NameArgument, address: AddressOption = None, cluster: ClusterOption = None) -> Output:
    """Stop a job. The job has a minute to write its checkpoint.

    To continue its run or study, send the same command again. With --quiet, the command prints only
    the job's last status.

    Example: poise jobs stop collapse-4f2a91c3
    """
    from poise.cluster.client import connect
    from poise.cluster.jobs import find_job
    from poise.cluster.jobs import stop as stop_job

    with reached(address, cluster) as there:
        client = connect(there)
        was_over = find_job(client, there, job).is_over
        ended = stop_job(client, there, job)
    return Output(
        document=lambda: asdict(ended) | {"had_ended_before": was_over},
        result=[ended.status],
        show=lambda: print(
            f"job {job} {'had ended before' if was_over else 'has ended'}: {ended.status}"
        ),
    )


def _times(job: "JobState") -> tuple[str, str]:
    """Returns the job's start in local time, and its duration."""
    if job.started_s is None:
        return "", ""
    started = datetime.fromtimestamp(job.started_s, UTC).astimezone()
    ended = job.ended_s if job.ended_s is not None else datetime.now(UTC).timestamp()
    minutes, seconds = divmod(int(ended - job.started_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{started:%Y-%m-%d %H:%M:%S}", f"{hours}:{minutes:02}:{seconds:02}"
