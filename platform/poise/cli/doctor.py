"""`poise doctor`: checks this machine and prints a fix for each fault."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from poise.cli.console import print_marked
from poise.cli.doctor_checks import Finding, examine
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError


@prints
def command(
    cluster: Annotated[
        bool,
        typer.Option("--cluster", help="Check what a cluster offers to other machines and users."),
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(help="With --cluster: its dashboard, http://HEAD:8265. Default: RAY_ADDRESS."),
    ] = None,
) -> Output:
    """Check this machine, and say how to fix what does not work.

    The command checks library versions, CPUs, GPUs, memory, disk, the MLflow store and Ray. It
    starts Ray for one task, or runs this task on the cluster of RAY_ADDRESS. The exit status is 1
    if something is broken.

    With --cluster, the command checks how open a cluster is. It checks whether the dashboard and
    MLflow ask for a token or password, and on which networks the nodes listen.

    With --quiet, the command prints only what is broken or doubtful, with the fix.

    Example: poise doctor

    Example: poise doctor --cluster --address http://HEAD:8265
    """
    if address is not None and not cluster:
        raise PoiseError("--address is for --cluster; to check Ray there, set RAY_ADDRESS")
    if cluster or "://" in os.environ.get("RAY_ADDRESS", ""):
        from poise.cluster.authentication import use_own_token

        use_own_token()  # before anything loads Ray
    found = _examine_cluster(address) if cluster else examine()
    findings = list(_printed(found))
    broken = any(finding.state == "broken" for finding in findings)
    end = "something is broken: see the fixes above" if broken else "everything needed works"
    return Output(
        document=lambda: {"usable": not broken, "findings": [asdict(f) for f in findings]},
        result=[
            f"{each.name}: {each.found}{f'; {each.fix}' if each.fix else ''}"
            for each in findings
            if each.state != "works"
        ],
        show=lambda: print(end),
        failure=typer.Exit(1) if broken else None,
    )


def _examine_cluster(address: str | None) -> Iterator[Finding]:
    from poise.cli.doctor_cluster import examine_cluster
    from poise.cluster.address import find_cluster

    return examine_cluster(find_cluster(address))


def _printed(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Prints each finding as soon as it is known, because the last checks take seconds."""
    for finding in findings:
        print_marked(finding.state, f"{finding.name:<14}{finding.found}")
        if finding.fix:
            print(f"    fix: {finding.fix}")
        yield finding
