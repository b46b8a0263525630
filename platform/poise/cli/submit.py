"""`poise submit`: runs a command on a cluster instead of on this machine."""

import re
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from poise.config.base import NAME_PATTERN
from poise.config.errors import PoiseError
from poise.config.paths import current_folder

_HERE_ONLY = "submit"


def command(
    words: Annotated[list[str], typer.Argument(metavar="COMMAND", hidden=True)],
    address: Annotated[
        str | None,
        typer.Option(help="The cluster's dashboard, http://HEAD:8265. Default: RAY_ADDRESS."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the job. Default: the sub-command and the time.")
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Follow the log and end with the job's exit status."),
    ] = True,
) -> None:
    """Run a poise command as a job on a Ray cluster.

    Example: poise submit --name first-try -- pretrain recipe.yaml

    The current folder is sent with the job, without data and results. So the paths of datasets
    must exist on the cluster. POISE_HOME and MLFLOW_TRACKING_URI, if set, must name storage that
    every node can reach. Ctrl-C stops following the log; the job continues.
    """
    from poise.cluster import address as addresses
    from poise.cluster import job_files as package
    from poise.cluster import jobs

    words = _checked(words)
    name = _job_name(name, words[0])
    job = package.package_command(words, current_folder())
    cluster = addresses.find_cluster(address)
    client = jobs.connect(cluster)
    hints = (
        f"  follow it: {jobs.follow_command(cluster, name)}\n"
        f"  stop it:   {jobs.stop_command(cluster, name)}"
    )
    jobs.submit(client, cluster, job, name)
    try:
        print(f"job {name} is on {cluster.url}", flush=True)
        if not wait:
            print(hints)
            return
        status = jobs.follow(client, cluster, name, _write)
    except KeyboardInterrupt:
        print(f"\nno longer following; job {name} runs on\n{hints}", file=sys.stderr)
        raise typer.Exit(130) from None
    if status:
        print(f"job {name} failed with exit status {status}", file=sys.stderr)
        raise typer.Exit(status)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _checked(words: Sequence[str]) -> list[str]:
    """The command without a leading `poise`; a typo is found here rather than on the cluster."""
    from poise.cli.main import COMMANDS

    words = list(words[1:] if words[0] == "poise" else words)
    known = [name for name in COMMANDS if name != _HERE_ONLY]
    if not words or words[0] not in known:
        found = f"'{words[0]}'" if words else "nothing"
        raise PoiseError(f"submit: expected one of {', '.join(known)} after --, found {found}")
    return words


def _job_name(name: str | None, command: str) -> str:
    if name is None:
        return f"{command}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    if not re.fullmatch(NAME_PATTERN, name):
        raise PoiseError(
            f"--name {name}: use letters, digits, '.', '_' and '-'; it begins with a letter or a "
            "digit"
        )
    return name
