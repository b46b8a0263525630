"""`poise submit`: runs a command on a cluster instead of on this machine."""

import logging
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.output import Output, prints
from poise.cluster.authentication import use_own_token
from poise.config.base import NAME_PATTERN
from poise.config.errors import PoiseError
from poise.config.paths import current_folder
from poise.config.redaction import redacted_address

if TYPE_CHECKING:
    from poise.cli.submit.request import Request
    from poise.cluster.address import ClusterAddress

logger = logging.getLogger(__name__)

AddressOption = Annotated[
    str | None,
    typer.Option(help="The cluster's dashboard, http://HEAD:8265. Default: RAY_ADDRESS."),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Instead of --address: the file with which `ray up` started the cluster.",
    ),
]


@prints
def command(
    words: Annotated[list[str], typer.Argument(metavar="COMMAND", hidden=True)],
    address: AddressOption = None,
    cluster: ClusterOption = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the job. Default: that of the run or study, or the time."),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Follow the log and end with the job's exit status."),
    ] = True,
) -> Output:
    """Run a poise command as a job on a Ray cluster.

    Example: poise submit --address http://HEAD:8265 -- sweep search_spaces/dino_collapse.yaml

    The job gets the code, recipes and spaces of the current folder. It gets no data, results or
    secrets. So the paths of datasets must exist on the cluster. First, a small job checks that
    every node can read them. If POISE_HOME, POISE_STORAGE or MLFLOW_TRACKING_URI is set, it also
    checks that every node reaches this storage. To continue an interrupted run or study, send the
    same command again. Ctrl-C ends only the printing of the log, and the job continues. With
    --quiet, the command prints only the name of the job. With --json, the document also contains
    two commands: one shows the log of the job, and one stops the job. The log goes to stderr.
    """
    from poise.cli.submit.request import read_request

    use_own_token()  # before Ray is loaded
    request = read_request(words)
    if name is not None and not re.fullmatch(NAME_PATTERN, name):
        raise PoiseError(
            f"--name {name}: use letters, digits, '.', '_' and '-'; it begins with a letter or a "
            "digit"
        )
    with reached(address, cluster) as there:
        return _send(there, request, name, wait)


@contextmanager
def reached(address: str | None, file: str | None) -> Iterator["ClusterAddress"]:
    """Finds the cluster that the options or RAY_ADDRESS name. Opens a tunnel if it is needed.

    Raises:
        PoiseError: no cluster or two clusters are named, or the tunnel does not open.
    """
    from poise.cluster.address import find_cluster
    from poise.cluster.tunnel import tunnel
    from poise.tracking.signals import raising

    if address and file:
        raise PoiseError(
            f"name one cluster: --address {redacted_address(address)} or --cluster {file}"
        )
    if file is None:
        yield find_cluster(address)
        return
    with raising(), tunnel(file) as found:  # else the tunnel outlives the terminal
        yield found


def _send(there: "ClusterAddress", request: "Request", name: str | None, wait: bool) -> Output:
    from poise.cli.submit.cluster_facts import view_from
    from poise.cli.submit.preflight import judge
    from poise.cli.submit.request import check_paths
    from poise.cluster.client import connect
    from poise.cluster.job_entry import packaged
    from poise.cluster.job_files import project_files
    from poise.cluster.jobs import COMMAND, STUDY, attach_command, stop_command, submit
    from poise.cluster.remote_call import ask

    files = project_files(current_folder())
    check_paths(request.words[1:], files)
    client = connect(there)
    name = _free_name(client, there, request, name)
    metadata = {COMMAND: " ".join(["poise", *request.words])}
    metadata |= {STUDY: request.study} if request.study else {}
    with packaged(request.words, files, metadata) as job:
        logger.info("checking %s …", there.url)
        function = "poise.cli.submit.cluster_facts:look_for"
        view = view_from(ask(client, there, job, function, request.question))
        for note in judge(view, request.recipe):
            logger.info("note: %s", note)
        if view.has_begun and request.recipe is not None:
            request = request.continued()
            logger.info("%s has begun before: this job continues it", request.study)
        submit(client, there, job.with_words(request.words), name)
    found = {"job": name, "cluster": there.url, "study": request.study}
    found |= {"follow": attach_command(there, name), "stop": stop_command(there, name)}
    print(f"job {name} is on {there.url}", flush=True)
    if wait:
        return Output(lambda: found, [name], failure=_end_of(client, there, name))
    hints = f"  follow it: {found['follow']}\n  stop it:   {found['stop']}"
    return Output(lambda: found, [name], lambda: print(hints))


def _end_of(client: Any, there: "ClusterAddress", name: str) -> Exception | None:
    """Follows the job, and returns the error that ends the command. Returns None on success."""
    try:
        follow_to_end(client, there, name)
    except (typer.Exit, PoiseError) as end:  # the job was sent, so its name is printed first
        return end
    return None


def _free_name(client: Any, there: "ClusterAddress", request: "Request", name: str | None) -> str:
    """Returns a name for the job.

    Raises:
        PoiseError: another job is working on the same run or study, or has the given name.
    """
    from poise.cluster.jobs import attach_command, list_jobs, refuse_taken_name, stop_command

    jobs = list_jobs(client, there)
    for job in jobs:
        if request.study is not None and job.study == request.study and not job.is_over:
            raise PoiseError(
                f"{request.study}: job {job.name} is working on it; follow it with "
                f"`{attach_command(there, job.name)}`, or stop it first with "
                f"`{stop_command(there, job.name)}`"
            )
    if name is not None:
        refuse_taken_name(jobs, there, name)
        return name
    if request.study is None:
        return f"{request.words[0]}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    taken = {job.name for job in jobs}
    later = (f"{request.study}-{number}" for number in range(2, len(jobs) + 3))
    return next(each for each in (request.study, *later) if each not in taken)


def follow_to_end(client: Any, there: "ClusterAddress", name: str) -> None:
    """Prints a job's log until the job ends, and exits with the job's exit status.

    After Ctrl-C, it prints the commands that follow and stop the job.
    """
    from poise.cluster.job_log import follow
    from poise.cluster.jobs import attach_command, stop_command

    try:
        status = follow(client, there, name, _write)
    except KeyboardInterrupt:
        print(
            f"\nno longer following; job {name} runs on\n"
            f"  follow it: {attach_command(there, name)}\n"
            f"  stop it:   {stop_command(there, name)}",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    if status:
        print(f"job {name} failed with exit status {status}", file=sys.stderr)
        raise typer.Exit(status)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
