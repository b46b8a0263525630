"""Arguments and options that `poise sweep` and `poise ablate` share.

In: a command's name and its help. Out: the command. Next: ``poise.cli.study.output``, which runs
the study.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.completion import complete_space
from poise.cli.output import Output, prints
from poise.cli.study.output import Asked, conduct

if TYPE_CHECKING:
    from poise.studies.study import Command

WordsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SPACE|KEY=VALUE",
        help="A space's YAML file, and changes to the space (seeds=[0,1,2]) or to its recipe "
        "(training.epochs=2). With --resume or --extend: the name of a study.",
        autocompletion=complete_space,
    ),
]
NameOption = Annotated[
    str | None, typer.Option(help="Name of the study. Default: the space's name and the time.")
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue an interrupted study. Give its NAME in place of SPACE, or SPACE for the "
        "latest study of this space.",
    ),
]
ExtendOption = Annotated[
    bool,
    typer.Option(
        "--extend", help="Add seeds or settings to the study NAME, and run the new trials."
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="TRIAL | KEY=VALUE",
        help="Run only these trials now (t03-s1, teacher_temp=0.04, seed=1). May be given several "
        "times.",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Print trials, steps, worker-hours and disk space, and start nothing."
    ),
]


def study_command(name_of_command: Command, explanation: str) -> Callable[..., None]:
    """Makes the function of ``poise sweep`` or ``poise ablate``. Its help is ``explanation``."""

    def command(
        words: WordsArgument = None,
        name: NameOption = None,
        resume: ResumeOption = False,
        extend: ExtendOption = False,
        only: OnlyOption = None,
        dry_run: DryRunOption = False,
    ) -> Output:
        return conduct(
            Asked(name_of_command, words or (), name, resume, extend, only or (), dry_run)
        )

    command.__doc__ = explanation
    return prints(command)
