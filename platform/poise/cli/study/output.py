"""Starts, resumes or extends a study from the command line, and prints the result.

In: the words after `poise sweep` or `poise ablate`. Out: finished trials, and a printed comparison
of their settings. Next: the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poise.cli.console import print_table
from poise.cli.main import resumable
from poise.cli.output import Output
from poise.cli.resume_arguments import read_words
from poise.cli.study.documents import forecast_document, result_document
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.studies.findings.table import Comparison
    from poise.studies.study import Command, Study
    from poise.sweeps.forecast import Forecast
    from poise.sweeps.result import StudyResult


@dataclass(frozen=True)
class Asked:
    """Words and options that the user typed after the command."""

    command: Command
    words: Sequence[str]
    name: str | None
    resume: bool = False
    extend: bool = False
    only: Sequence[str] = ()
    dry_run: bool = False


def conduct(asked: Asked) -> Output:
    """Starts, resumes or extends a study, and returns its output.

    If trials failed, the output contains a ``TrialsFailedError``.
    """
    study = study_of(asked)
    if asked.dry_run:
        return _forecast_output(study, asked.only)
    if not (asked.resume or asked.extend):
        study.claim()
    result = carry_out(study, asked.only)
    return Output(
        document=lambda: result_document(result),
        result=[result.registered] if result.registered else [],
        show=lambda: print_result(result),
        failure=result.failure,
    )


def _forecast_output(study: Study, only: Sequence[str]) -> Output:
    from poise.studies.trial_filter import choose_trials
    from poise.sweeps.forecast import forecast

    expected = forecast(study, choose_trials(study, only) if only else None)
    return Output(
        document=lambda: forecast_document(study, expected),
        result=[each.trial.name for each in expected.trials],
        show=lambda: print_forecast(study, expected),
    )


def study_of(asked: Asked) -> Study:
    """Returns the study that the user asked for, after checks. A new study is not written yet."""
    from poise.sweeps.extension import extend_study
    from poise.sweeps.planning import request_study
    from poise.sweeps.resumption import find_study

    if asked.resume and asked.extend:
        raise PoiseError("--extend also runs the trials that are left; leave --resume out")
    if asked.resume:
        wanted = read_words(asked.words, asked.name, "study")
        return find_study(wanted.name, wanted.file, wanted.overrides, asked.command)
    if asked.extend:
        wanted = read_words(asked.words, asked.name, "study", "--extend")
        if wanted.name is None:
            raise PoiseError("--extend: name the study to add to, in addition to its file")
        return extend_study(wanted.name, wanted.file, wanted.overrides, asked.command)
    if not asked.words or "=" in asked.words[0]:
        raise PoiseError("name a space to start or, with --resume, a study to finish")
    space, *overrides = asked.words
    return request_study(space, overrides, asked.name, asked.command)


def print_forecast(study: Study, expected: Forecast) -> None:
    """Prints the trials that would run, and their cost."""
    from poise.config.wording import short_names
    from poise.studies.labels import plain

    if expected.are_known:
        keys = list(study.space.parameters)
        rows = [
            [trial.name, *(plain(trial.settings[key]) for key in keys), trial.seed, steps, room]
            for room, forecasts in (("", expected.trials), ("waits", expected.waiting))
            for trial, steps in ((each.trial, each.steps) for each in forecasts)
        ]
        last = "budget" if expected.waiting else ""
        print_table(["trial", *short_names(keys), "seed", "steps", last], rows)
    else:
        print(f"searcher {study.space.searcher.name} decides during the study what is tried")
    print()
    print_costs(study, expected)
    print("nothing was started; leave --dry-run out to begin")


def print_costs(study: Study, expected: Forecast) -> None:
    """Prints the expected steps, time and disk space, and how each was estimated."""
    from poise.sweeps.step_time import pace_lines

    images = study.recipe.training.batch_size
    num_all = len(expected.trials) + len(expected.waiting)
    of_all = f" of {num_all}, because of the budget" if expected.waiting else ""
    print(f"trials     {len(expected.trials)}{of_all}, {expected.at_once} at once")
    print(f"steps      {expected.steps:,} of {images} images")
    if expected.worker_hours is not None and expected.clock_hours is not None:
        clock = _duration(expected.clock_hours)
        print(f"time       about {expected.worker_hours:.2g} worker-hours, {clock} elapsed time")
    for line in pace_lines(expected.paces):
        print(f"           {line}")
    keep = study.recipe.training.keep_checkpoints or "all"
    size = expected.footprint
    print(
        f"disk       about {expected.disk_bytes / 1e6:,.0f} MB: up to {keep} checkpoints of "
        f"{size.checkpoint_bytes / 1e6:.3g} MB a trial, and {size.package_bytes / 1e6:.3g} MB "
        "registered"
    )
    limits = study.space.budget.model_dump(exclude_none=True)
    if limits:
        told = ", ".join(f"budget.{name}={value:g}" for name, value in limits.items())
        room = f"{len(expected.trials)} of {num_all} trials fit"
        if expected.waiting:
            room += f", {len(expected.waiting)} would wait for more than {expected.lacks}"
        late = "; no trial begins that would end after the hours" if "hours" in limits else ""
        print(f"budget     {told}: {room}{late}")


def _duration(hours: float) -> str:
    """Writes a duration in seconds, minutes or hours."""
    if hours < 1 / 40:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 1.5 else f"{hours:.2g} h"


def carry_out(study: Study, only: Sequence[str] = ()) -> StudyResult:
    """Runs the remaining trials of a study, or only some trials.

    If the user interrupts the study, the command to resume it is printed.
    """
    from poise.studies.trial_filter import choose_trials
    from poise.sweeps.runner import run_study

    trials = choose_trials(study, only) if only else None
    with resumable(f"poise {study.command} --resume {study.name}"):
        return run_study(study, trials)


def print_result(result: StudyResult) -> None:
    """Prints the table of settings, the answer, the registered model, and all paths."""
    from poise.reports import comparison_table
    from poise.studies.number_format import bare

    findings = result.report.findings
    comparison = findings.comparison
    if result.records:
        print()
        print_table(*comparison_table(comparison))
        print()
    for paragraph in (*findings.answer, *findings.notes):
        print(paragraph)
    print()
    for record in result.records:
        if record.state == "failed":
            print(f"{record.trial.name} ended with an error: {record.reason}")
    if result.best is None:
        print(f"{_nothing_best(result)}: nothing was registered")
    else:
        metric = result.study.space.goal.metric
        value = bare(result.best.metrics[metric], comparison.decimals)
        print(f"best       {result.best.trial.name}, {metric} {value}{_loss(result, comparison)}")
        print(f"registered {result.registered}")
    if len(result.study.space.goals) > 1 and findings.front:
        print(f"front      {', '.join(findings.front)}")
    if result.num_waiting:
        why = f": {result.lacks} leaves no room" if result.lacks else ""
        print(f"left       {result.num_waiting} trials wait{why}")
    print(f"report     {result.report.page}")
    print(f"mlflow     {result.store_uri}")
    print(f"charts     {result.link.url}")
    print("next:")
    for purpose, line in result.next_commands:
        print(f"  # {purpose}\n  {line}")
    print(end="", flush=True)  # before stderr lists the trials that failed


def _loss(result: StudyResult, comparison: Comparison) -> str:
    """Writes the value before training if training made the best trial worse.

    Otherwise the text is empty.
    """
    from poise.config.metrics import before_training
    from poise.studies.number_format import bare

    assert result.best is not None
    metrics, metric = result.best.metrics, comparison.metric
    before = before_training(metrics, metric)
    if before is None or not comparison.is_worse(metrics[metric] - before[1]):
        return ""
    return f", worse than {bare(before[1], comparison.decimals)} before training"


def _nothing_best(result: StudyResult) -> str:
    """Explains why a study has no best trial."""
    from poise.studies.outcomes import is_decided, is_healthy

    if not result.records:
        return "no trial has begun"
    if any(is_decided(record) and is_healthy(record) for record in result.records):
        return f"no healthy trial has {result.study.space.goal.metric}"
    return "no trial is healthy to its end"
