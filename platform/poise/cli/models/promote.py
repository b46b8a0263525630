"""`poise models promote`: gives an alias to a version that passes the gates.

In: a version, an alias and a reason. Out: the result of each gate, and the alias in MLflow. Next:
`models:/NAME@ALIAS`, which now means this version for all users.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.completion import complete_model, complete_new_alias
from poise.cli.console import print_marked
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poise.tracking.registry.gates import GateResult
    from poise.tracking.store import Store


@dataclass(frozen=True)
class PromoteRequest:
    """Arguments and options of `poise models promote`."""

    model: Annotated[
        str,
        typer.Argument(
            help="NAME/VERSION; with --undo NAME is enough.", autocompletion=complete_model
        ),
    ]
    to: Annotated[
        str,
        typer.Option(
            metavar="ALIAS",
            help="Alias to give, such as production.",
            autocompletion=complete_new_alias,
        ),
    ]
    why: Annotated[str, typer.Option(help="Reason, which is kept with the alias.")] = ""
    gates: Annotated[
        Path | None, typer.Option(help="YAML file of gates. Default: Poise's own gates.")
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the gates.")] = False
    undo: Annotated[
        bool, typer.Option("--undo", help="Give the alias back to the version that had it before.")
    ] = False


@prints
@options_of(PromoteRequest)
def promote_command(request: PromoteRequest) -> Output:
    """Give an alias to a version, if it passes the gates.

    Gates are conditions, such as a healthy verdict. Some gates compare the version with the version
    that has the alias now. The registry stores who gave the alias, when, and why. --undo takes the
    newest promotion back, and checks no gates. With --quiet, the command prints models:/NAME@ALIAS
    if the alias was given or moved back. If a gate fails, nothing changes and the exit status is 2.

    Example: poise models promote scenes-vit/3 --to production --why "best k-NN"

    Example: poise models promote scenes-vit/3 --to production --dry-run

    Example: poise models promote scenes-vit --to production --undo
    """
    from poise.tracking.registry.promotion import read_alias
    from poise.tracking.store import open_store

    if request.undo:
        _check_alone(request)
    store, alias = open_store(), read_alias(request.to)
    return (_undo if request.undo else _promote)(store, request, alias)


def _check_alone(request: PromoteRequest) -> None:
    """Raises an error for options that mean nothing beside --undo, which changes the alias."""
    others = {"--dry-run": request.dry_run, "--why": request.why, "--gates": request.gates}
    given = next((option for option, value in others.items() if value), None)
    if given is not None:
        raise PoiseError(
            f"--undo: cannot be given together with {given}, because --undo only gives the alias "
            "back: it checks no gates and stores no reason; leave one of them out"
        )


def _promote(store: Store, request: PromoteRequest, alias: str) -> Output:
    from poise.config.gates import load_gates
    from poise.tracking.registry.promotion import check, promote_if_passed
    from poise.tracking.registry.version_lookup import find_model

    gates, version = load_gates(request.gates), find_model(store, request.model)
    if request.dry_run:
        found = check(store, gates, version, alias)
    else:
        found = promote_if_passed(store, gates, version, alias, request.why)
    results, holder, record = found.results, found.holder, found.record
    failed = [result.gate for result in results if not result.passed]
    told = ""
    if record is not None:
        before = f"; before, it was version {record.previous}" if record.previous else ""
        told = f"models:/{version.name}@{alias} is version {version.version} now{before}"
    return Output(
        document=lambda: {
            "alias": f"models:/{version.name}@{alias}",
            "version": version.version if told else holder.version if holder else None,
            "promoted": bool(told),
            "gates": [asdict(result) for result in results],
        },
        result=[f"models:/{version.name}@{alias}"] if told else [],
        show=lambda: _show(results, told),
        failure=PoiseError(
            f"{version.uri}: was not promoted to @{alias}, because {len(failed)} of {len(results)} "
            f"gates failed: {', '.join(dict.fromkeys(failed))}"
        )
        if failed
        else None,
    )


def _undo(store: Store, request: PromoteRequest, alias: str) -> Output:
    from poise.tracking.registry.promotion_undo import undo
    from poise.tracking.registry.version_lookup import find_model, is_exact

    named = find_model(store, request.model)
    name = named.name
    record = undo(store, name, alias, named.version if is_exact(request.model) else None)
    now = f"is version {record.previous} again" if record.previous else "names no version any more"
    given = f"models:/{name}@{alias}"
    return Output(
        document=lambda: {"alias": given, "version": record.previous, "promoted": False},
        result=[given] if record.previous else [],
        show=lambda: print(f"{given} {now}"),
    )


def _show(results: Sequence[GateResult], told: str) -> None:
    for result in results:
        print_marked("works" if result.passed else "broken", f"{result.gate}: {result.reason}")
    if told:
        print(told)
