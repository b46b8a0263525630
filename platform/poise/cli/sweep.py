"""``poise sweep``: many runs of one recipe, the best of which is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.console import print_table
from poise.cli.main import resumable
from poise.cli.resuming import Wanted, read_words
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.sweeps import Sweep, SweepResult


def command(
    space: Annotated[
        str | None,
        typer.Argument(
            metavar="SPACE", help="A space's YAML file; with --resume a sweep's name will do."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="Changes to the space (trials=8) or to its recipe (training.epochs=2).",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the sweep; default: the space's name and the time.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Finish an interrupted sweep: NAME, or the latest of SPACE."),
    ] = False,
) -> None:
    """Sweep a SPACE; register the best healthy backbone.

    Each trial is trained, tracked in MLflow and judged: healthy, or which collapse. Interrupt the
    sweep whenever you like: the same command with --resume finishes what is left, and so does
    `poise sweep --resume NAME`.

    Example: poise sweep search_spaces/demo.yaml trials=4 training.epochs=2
    """
    words = [word for word in (space, *(settings or [])) if word is not None]
    if resume:
        sweep = _find(read_words(words, name, "sweep"))
    elif space is None or "=" in space:
        raise PoiseError("name a space to start or, with --resume, a sweep to finish")
    else:
        path, *overrides = words
        sweep = _begin(path, overrides, name)
    print_result(carry_out(sweep))


def _begin(space: str, words: list[str], name: str | None) -> Sweep:
    from poise.sweeps import begin_sweep

    return begin_sweep(space, words, name)


def _find(wanted: Wanted) -> Sweep:
    from poise.sweeps import find_sweep

    return find_sweep(wanted.name, wanted.file, wanted.overrides)


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
