"""A study from the command line: what `poise sweep` and `poise ablate` have in common.

In: the words and options of the verb. Out: trials carried out, and their comparison printed. Next:
a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.console import print_table
from poise.cli.main import resumable
from poise.cli.resuming import read_words
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.sweeps import Study, StudyResult
    from poise.sweeps.records import Command

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


@dataclass(frozen=True)
class Asked:
    """What was typed after the verb."""

    command: Command
    words: Sequence[str]
    name: str | None
    resume: bool = False
    extend: bool = False
    only: Sequence[str] = ()


def conduct(asked: Asked) -> None:
    """Begins, finishes or extends a study, and prints what it found."""
    study = study_of(asked)
    print_result(carry_out(study, asked.only))


def study_of(asked: Asked) -> Study:
    """The study that is meant, checked; a new one is not written yet."""
    from poise.sweeps import extend_study, find_study, request_study

    if asked.resume and asked.extend:
        raise PoiseError("--extend finishes what is left as well; leave --resume out")
    if asked.resume:
        wanted = read_words(asked.words, asked.name, "study")
        return find_study(wanted.name, wanted.file, wanted.overrides, asked.command)
    if asked.extend:
        wanted = read_words(asked.words, asked.name, "study", "--extend")
        if wanted.name is None:
            raise PoiseError("--extend: name the study to add to, beside its file")
        return extend_study(wanted.name, wanted.file, wanted.overrides, asked.command)
    if not asked.words or "=" in asked.words[0]:
        raise PoiseError("name a space to start or, with --resume, a study to finish")
    space, *overrides = asked.words
    return request_study(space, overrides, asked.name, asked.command)


def carry_out(study: Study, only: Sequence[str] = ()) -> StudyResult:
    """What is left of a study, or some of it; interrupted, it says how to go on."""
    from poise.sweeps import choose_trials, run_study

    trials = choose_trials(study, only) if only else None
    with resumable(f"poise {study.command} --resume {study.name}"):
        return run_study(study, trials)


def print_result(result: StudyResult) -> None:
    """The comparison of a study's trials, what was registered, and where everything is."""
    from poise.sweeps.comparison import compare
    from poise.sweeps.report import comparison_table

    comparison = compare(result.study, result.records)
    print()
    print_table(*comparison_table(comparison))
    print()
    for note in comparison.notes:
        print(note)
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
    if len(result.study.space.goals) > 1 and result.front:
        print(f"front      {', '.join(record.trial.name for record in result.front)}")
    if result.num_waiting:
        why = f": {result.lacks} leaves no room" if result.lacks else ""
        print(f"left       {result.num_waiting} trials wait{why}")
    print(f"report     {result.report}")
    print(f"mlflow     {result.store_uri}")
    print(f"charts     {result.link.url}")
    print("next:")
    for line in result.next_commands:
        print(f"  {line}")
