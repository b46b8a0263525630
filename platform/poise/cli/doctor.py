"""`poise doctor`: checks this machine and names a fix for each fault."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from poise.cli.console import print_marked
from poise.cli.doctor_checks import Finding, examine


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this machine, and say how to fix what does not work.

    The command checks library versions, CPUs, GPUs, memory, disk, the MLflow store and Ray. It
    starts Ray for one task, or runs this task on the cluster of RAY_ADDRESS. The exit status is 1
    if something is broken.
    """
    findings = list(examine() if as_json else _printed(examine()))
    broken = any(finding.state == "broken" for finding in findings)
    if as_json:
        print(
            json.dumps({"usable": not broken, "findings": [asdict(f) for f in findings]}, indent=2)
        )
    else:
        print("something is broken: see the fixes above" if broken else "everything needed works")
    raise typer.Exit(int(broken))


def _printed(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Prints each finding at once, because the last checks take seconds."""
    for finding in findings:
        print_marked(finding.state, f"{finding.name:<14}{finding.found}")
        if finding.fix:
            print(f"    fix: {finding.fix}")
        yield finding
