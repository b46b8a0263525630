"""One trial, in the process that Tune gives it.

In: a trial and what it needs of its study. Out: its record and its MLflow run, ended. The process
controls a Ray Train run of any size and trains nothing itself. Next: ``poise.sweeps.referee``.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from ray.tune.integration.ray_train import TuneReportCallback

from poise.config import PoiseError, Recipe
from poise.sweeps.records import Study, TrialRecord, interrupted
from poise.sweeps.settings import Trial
from poise.tracking.ending import controlled
from poise.tracking.pretraining import Finished, pretrain
from poise.tracking.runs import Run, create_trial_run
from poise.training.progress import BoardObserver
from poise.training.schedule import Timetable
from poise.training.worker import first_cause, steps_per_epoch


@dataclass(frozen=True)
class Context:
    """What all trials of a study share."""

    study: Study
    home: str
    run: Run
    """The study's own."""

    board: Any
    """Where progress is posted."""


def carry_out(config: dict[str, Any], context: Context) -> None:
    """Trains one trial, or finishes what an interrupted attempt began.

    A trial that fails leaves its reason in its record and returns: the others go on, and Tune
    repeats only what lost its process.
    """
    os.environ["POISE_HOME"] = context.home  # this process was started in another folder
    torch.set_num_threads(1)  # training has its own process
    trial, study = Trial(**config), context.study
    record = interrupted(study.record(trial.name) or TrialRecord(trial, "running"))
    started_s = time.monotonic()
    try:
        record = _train(trial, context, record)
    except _StoppedEarly:
        return  # the study's process has settled it
    except Exception as error:
        record = replace(study.record(trial.name) or record, state="failed", reason=reason(error))
    study.write(replace(record, seconds=record.seconds + time.monotonic() - started_s))


def _train(trial: Trial, context: Context, record: TrialRecord) -> TrialRecord:
    study = context.study
    run = create_trial_run(context.run, trial.name, study.trial_folder(trial.name))
    record = replace(record, run_id=run.run_id)
    study.write(record)
    with controlled(run), _stopping_is_no_failure(study, trial.name):
        recipe = trial.recipe(study.recipe, study.name)
        timetable = Timetable(recipe, steps_per_epoch(recipe))
        total_steps, planned_steps = timetable.total_steps, timetable.planned_steps
        record = replace(record, total_steps=total_steps, planned_steps=planned_steps)
        study.write(record)
        finished = pretrain(
            recipe,
            run,
            f"{study.name}/{trial.name}",
            observers=[partial(BoardObserver, context.board, trial.name, total_steps)],
            callbacks=[_Reports(study.space.goal.metric)],
        )
    return concluded(record, finished)


class _StoppedEarly(SystemExit):
    """The scheduler ended the trial; to ``controlled`` an exit without a complaint."""


@contextmanager
def _stopping_is_no_failure(study: Study, trial: str) -> Iterator[None]:
    """Tells the errors of a trial whose workers the scheduler took away from its own.

    Between losing them and ending, this process may still see them go.
    """
    try:
        yield
    except Exception:
        record = study.record(trial)
        if record is not None and record.state == "stopped":
            raise _StoppedEarly from None
        raise


def concluded(record: TrialRecord, finished: Finished) -> TrialRecord:
    """The record of a trial that ended by itself."""
    return replace(
        record,
        state="finished" if finished.stopped_by is None else "stopped",
        stopped_by=finished.stopped_by,
        verdict=finished.verdict,
        metrics=finished.metrics,
        step=finished.history[-1][0],
        checkpoint=str(finished.checkpoint),
    )


def total_steps_of(recipe: Recipe) -> int:
    """Steps until a trial ends by itself."""
    return Timetable(recipe, steps_per_epoch(recipe)).total_steps


def reason(error: BaseException) -> str:
    """Why a trial failed, in one line: of nested errors the first cause says most."""
    cause = first_cause(error)
    text = " ".join(str(cause).split())[-300:]
    return text if isinstance(cause, PoiseError) else f"{type(cause).__name__}: {text}"


class _Reports(TuneReportCallback):  # type: ignore[misc]
    """Hands Tune's scheduler the evaluations that it may stop the trial at.

    Not the last one: a trial that ends by itself is left to conclude itself.
    """

    def __init__(self, metric: str) -> None:
        super().__init__()
        self._metric = metric

    def after_report(
        self, run_context: Any, metrics: Sequence[Mapping[str, Any]], checkpoint: Any
    ) -> None:
        """Forwards the first worker's metrics."""
        first = metrics[0]
        if self._metric in first and not first["ends"]:
            super().after_report(run_context, metrics, None)


def trainable(context: Context) -> Any:
    """What Tune runs: ``carry_out`` without a CPU.

    A CPU share, however small, would keep the second of two one-CPU trials waiting on two CPUs
    (and whole CPUs let the controllers starve the workers that they wait for, without an error).
    Memory is what a controller really takes, and every Ray node has some.
    """
    from ray import tune

    bound = tune.with_parameters(carry_out, context=context)
    return tune.with_resources(bound, {"CPU": 0, "memory": CONTROLLER_BYTES})


CONTROLLER_BYTES = 500 * 2**20
"""Of a trial's own process, which imports PyTorch and MLflow."""
