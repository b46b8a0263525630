"""``poise sweep``: many runs of one recipe, the best of which is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.console import print_table
from poise.cli.main import resumable
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.sweeps import Sweep, SweepResult


def command(
    space: Annotated[
        str, typer.Argument(help="A space's YAML file; with --resume a sweep's name will do.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Changes to the space (trials=8) or to its recipe (training.epochs=2).",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the sweep; by default the space's name and the time.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Finish an interrupted sweep: the latest of this space, or --name's."
        ),
    ] = False,
) -> None:
    """Sweep a SPACE of settings, and register the best healthy backbone.

    Each trial is trained, tracked in MLflow and judged: healthy, or which collapse. Interrupt the
    sweep whenever you like: the same command with --resume finishes what is left.

    Example: poise sweep search_spaces/demo.yaml trials=4 training.epochs=2
    """
    words = settings or []
    sweep = _find(space, words, name) if resume else _begin(space, words, name)
    print_result(carry_out(sweep))


def _begin(space: str, words: list[str], name: str | None) -> Sweep:
    from poise.sweeps import begin_sweep

    return begin_sweep(space, words, name)


def _find(space: str, words: list[str], name: str | None) -> Sweep:
    """The sweep of ``SPACE … --resume [NAME]``, or of ``--resume NAME`` alone."""
    from poise.sweeps import find_sweep

    overrides = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word] + ([name] if name else [])
    is_file = space.endswith((".yaml", ".yml"))
    if not is_file:
        names.append(space)
    if len(names) > 1:
        raise PoiseError(f"--resume: one sweep at a time, not {' and '.join(names)}")
    if not is_file and overrides:
        raise PoiseError(
            f"--resume {space}: goes on as the sweep began and takes no {overrides[0]}"
        )
    return find_sweep(names[0] if names else None, space if is_file else None, overrides)


def carry_out(sweep: Sweep) -> SweepResult:
    """What is left of a sweep; interrupted, it says how to go on."""
    from poise.sweeps import run_sweep

    with resumable(f"poise sweep --resume {sweep.name}"):
        return run_sweep(sweep)


def print_result(result: SweepResult) -> None:
    """The comparison of a sweep's trials, what was registered, and where everything is."""
    from poise.sweeps.report import table

    print()
    print_table(*table(result.sweep, result.records))
    print()
    for record in result.records:
        if record.state == "failed":
            print(f"{record.trial.name} failed: {record.reason}")
    if result.best is None:
        print("no trial is healthy to its end: nothing was registered")
    else:
        metric = result.sweep.space.metric
        value = result.best.metrics[metric]
        print(f"best       {result.best.trial.name}, {metric} {value:.4g}")
        print(f"registered {result.registered}")
    print(f"report     {result.report}")
    print(f"mlflow     {result.store_uri}")
    print(f"charts     {result.link.url}")
    print("next:")
    for line in result.next_commands:
        print(f"  {line}")
