"""``poise sweep``: many runs of one recipe, the best of which is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.console import print_table
from poise.cli.main import resumable
from poise.cli.resuming import Wanted, read_words
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.sweeps import Study, StudyResult


def command(
    space: Annotated[
        str | None,
        typer.Argument(
            metavar="SPACE", help="A space's YAML file; with --resume a study's name will do."
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
        str | None, typer.Option(help="Name of the study; default: the space's name and the time.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Finish an interrupted study: NAME, or the latest of SPACE."),
    ] = False,
) -> None:
    """Sweep a SPACE; register the best healthy backbone.

    Each trial is trained, tracked in MLflow and judged: healthy, or which collapse. Interrupt the
    study whenever you like: the same command with --resume finishes what is left, and so does
    `poise sweep --resume NAME`.

    Example: poise sweep search_spaces/demo.yaml trials=4 training.epochs=2
    """
    words = [word for word in (space, *(settings or [])) if word is not None]
    if resume:
        study = _find(read_words(words, name, "study"))
    elif space is None or "=" in space:
        raise PoiseError("name a space to start or, with --resume, a study to finish")
    else:
        path, *overrides = words
        study = _begin(path, overrides, name)
    print_result(carry_out(study))


def _begin(space: str, words: list[str], name: str | None) -> Study:
    from poise.sweeps import begin_study

    return begin_study(space, words, name)


def _find(wanted: Wanted) -> Study:
    from poise.sweeps import find_study

    return find_study(wanted.name, wanted.file, wanted.overrides)


def carry_out(study: Study) -> StudyResult:
    """What is left of a study; interrupted, it says how to go on."""
    from poise.sweeps import run_study

    with resumable(f"poise sweep --resume {study.name}"):
        return run_study(study)


def print_result(result: StudyResult) -> None:
    """The comparison of a study's trials, what was registered, and where everything is."""
    from poise.sweeps.report import table

    print()
    print_table(*table(result.study, result.records))
    print()
    for record in result.records:
        if record.state == "failed":
            print(f"{record.trial.name} failed: {record.reason}")
    if result.best is None:
        print("no trial is healthy to its end: nothing was registered")
    else:
        metric = result.study.space.goal.metric
        value = result.best.metrics[metric]
        print(f"best       {result.best.trial.name}, {metric} {value:.4g}")
        print(f"registered {result.registered}")
    print(f"report     {result.report}")
    print(f"mlflow     {result.store_uri}")
    print(f"charts     {result.link.url}")
    print("next:")
    for line in result.next_commands:
        print(f"  {line}")
