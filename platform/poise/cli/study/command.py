"""What `poise sweep` and `poise ablate` take: the same words and options.

In: a verb and its help. Out: its command. Next: ``poise.cli.study.output``, which carries it out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.study.output import Asked, conduct

if TYPE_CHECKING:
    from poise.studies.study import Command

SpaceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="SPACE",
        help="A space's YAML file; with --resume or --extend a study's name will do.",
    ),
]
SettingsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Changes to the space (seeds=[0,1,2]) or to its recipe (training.epochs=2).",
    ),
]
NameOption = Annotated[
    str | None, typer.Option(help="Name of the study; default: the space's name and the time.")
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Finish an interrupted study: NAME, or the latest of SPACE."),
]
ExtendOption = Annotated[
    bool,
    typer.Option("--extend", help="Add seeds or settings to the study NAME, and run those."),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="TRIAL | KEY=VALUE",
        help="Run just these trials now (t03-s1, teacher_temp=0.04, seed=1); may be repeated.",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print trials, steps, worker-hours and disk, and start nothing."
    ),
]


def study_command(verb: Command, explanation: str) -> Callable[..., None]:
    """The function behind a verb, with the explanation as its help."""

    def command(
        space: SpaceArgument = None,
        settings: SettingsArgument = None,
        name: NameOption = None,
        resume: ResumeOption = False,
        extend: ExtendOption = False,
        only: OnlyOption = None,
        dry_run: DryRunOption = False,
    ) -> None:
        words = [word for word in (space, *(settings or [])) if word is not None]
        conduct(Asked(verb, words, name, resume, extend, only or (), dry_run))

    command.__doc__ = explanation
    return command
