"""One trial, in the process that Tune gives it.

In: a trial and what it needs of its study. Out: its record and its MLflow run, ended. Next:
``poise.sweeps.referee``. A trial of one worker trains in this process, and the next trial uses the
process again. For a trial of several workers, or one that a scheduler may stop, the process
controls a Ray Train run.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ray import tune

from poise.config import PoiseError, Recipe
from poise.config.errors import one_line
from poise.runs.outcome import Finished
from poise.runs.pretraining import Extras, pretrain
from poise.runs.progress import BoardObserver
from poise.studies.labels import described
from poise.studies.records import TrialRecord, begun_again
from poise.studies.study import Study
from poise.studies.trials import Trial
from poise.sweeps.scheduler_reports import ForScheduler
from poise.sweeps.trial_runs import seen_history
from poise.tracking.ending import controlled
from poise.tracking.run import Run, create_trial_run, set_tags
from poise.training.capacity import uses_gpu
from poise.training.datasets import check_unchanged, fingerprints
from poise.training.schedule import timetable_of
from poise.training.spec import StartingPoint
from poise.training.worker import first_cause

UNTRAINED_FOLDER = "untrained"
"""Folder within a study of what its untrained networks measured."""


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
    torch.set_num_threads(1)  # training decides for itself how many it uses
    trial, study = Trial(**config), context.study
    found = study.record(trial.name)
    if found is not None and found.is_done:
        return  # as it ended by itself, the scheduler had it begin again
    record = begun_again(found or TrialRecord(trial, "running"))
    trial = record.current
    started_s = time.monotonic()
    try:
        record = _train(trial, context, record)
    except _Superseded:
        return  # the study's process has settled it, or begun it again
    except Exception as error:
        record = study.record(trial.name) or record
        step = _last_step(context, record)
        record = replace(record, state="failed", reason=reason(error), step=step)
    study.write(replace(record, seconds=record.seconds + time.monotonic() - started_s))


def _last_step(context: Context, record: TrialRecord) -> int:
    """That a trial which failed is known to have made: they were paid for all the same."""
    try:
        seen = seen_history(context.run, record)
    except Exception:  # the store may be what it failed for
        return record.step
    return max(record.step, seen[-1][0] if seen else 0)


def _train(trial: Trial, context: Context, record: TrialRecord) -> TrialRecord:
    study = context.study
    run = create_trial_run(context.run, trial.name, study.trial_folder(trial.name))
    record = replace(record, run_id=run.run_id)
    study.write(record)
    if record.changes:
        set_tags(run, {"poise.changes": described(record.changes)})
    with controlled(run), _stopping_is_no_failure(study, record):
        recipe = trial.recipe(study.recipe, study.name)
        if study.datasets:  # a dataset may have been replaced since the last trial
            check_unchanged(f"study {study.name}", study.datasets, fingerprints(recipe))
        timetable = timetable_of(recipe)
        total_steps, planned_steps = timetable.total_steps, timetable.planned_steps
        record = replace(record, total_steps=total_steps, planned_steps=planned_steps)
        study.write(record)
        here = _trains_here(study, recipe)
        finished = pretrain(
            recipe,
            run,
            _run_name(study, record),
            Extras(
                observers=[partial(BoardObserver, context.board, trial.name, total_steps)],
                callbacks=[] if here else [ForScheduler(study.space.goal.metric)],
                start_from=_starting_point(record),
                in_process=here,
                untrained_figures=study.folder / UNTRAINED_FOLDER,
                lineage=_lineage(record),
            ),
        )
        _check_current(study, record)
    return concluded(record, finished)


def _trains_here(study: Study, recipe: Recipe) -> bool:
    """Whether a trial trains in the process that Tune gives it.

    Where a scheduler may stop trials, their processes are not used again, and Ray Train stores the
    checkpoints whose paths the scheduler is told.
    """
    return recipe.training.num_workers == 1 and not study.space.scheduler.stops_trials


def _run_name(study: Study, record: TrialRecord) -> str:
    """Of Ray Train's run, which resumes from its own checkpoints: a new one after each change."""
    change = f"/change-{len(record.changes)}" if record.changes else ""
    return f"{study.name}/{record.trial.name}{change}"


def _starting_point(record: TrialRecord) -> StartingPoint | None:
    """The checkpoint of another trial that this one goes on from; none where it has its own."""
    if not record.changes:
        return None
    change = record.changes[-1]
    return StartingPoint(Path(change.checkpoint), (*change.settings, "seed"))


def _lineage(record: TrialRecord) -> dict[str, Any]:
    """What the backbone's package says of the changes on its way; nothing where there were none."""
    return {"changes": [asdict(change) for change in record.changes]} if record.changes else {}


class _Superseded(SystemExit):
    """The scheduler took the trial away; to ``controlled`` an exit without a complaint."""


@contextmanager
def _stopping_is_no_failure(study: Study, begun: TrialRecord) -> Iterator[None]:
    """Tells the errors of a trial whose workers the scheduler took away from its own.

    Between losing them and ending, this process may still see them go.
    """
    try:
        yield
    except Exception:
        _check_current(study, begun)
        raise


def _check_current(study: Study, begun: TrialRecord) -> None:
    """Ends an attempt whose trial was stopped, or goes on from elsewhere, in the meantime."""
    record = study.record(begun.trial.name)
    if record is not None and (record.state == "stopped" or record.changes != begun.changes):
        raise _Superseded from None


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


def reason(error: BaseException) -> str:
    """Why a trial failed, in one line: of nested errors the first cause says most."""
    cause = first_cause(error)
    text = one_line(cause)
    if len(text) > _LONG_REASON:
        text = f"{text[: _LONG_REASON // 2]} … {text[-_LONG_REASON // 2 :]}"
    return text if isinstance(cause, PoiseError) else f"{type(cause).__name__}: {text}"


_LONG_REASON = 600
"""Characters; of a longer one the two ends say most: where it was, and what to do."""


def trainable(context: Context) -> Any:
    """What Tune runs: ``carry_out`` with what a trial's process takes."""
    bound = tune.with_parameters(carry_out, context=context)
    return tune.with_resources(bound, partial(_resources, context.study))


def _resources(study: Study, config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What the process of a trial takes: a worker's share, or memory alone where it controls.

    A CPU share of a controller, however small, would keep the second of two one-CPU trials waiting
    on two CPUs (and whole CPUs let controllers starve the workers that they wait for, without an
    error). Memory is what a controller really takes, and every Ray node has some.
    """
    recipe = Trial(**config).recipe(study.recipe, study.name)
    if not _trains_here(study, recipe):
        return tune.PlacementGroupFactory([{"CPU": 0, "memory": CONTROLLER_BYTES}])
    gpu = {"GPU": 1.0} if uses_gpu(recipe) else {}
    return tune.PlacementGroupFactory([{"CPU": recipe.training.cpus_per_worker, **gpu}])


CONTROLLER_BYTES = 500 * 2**20
"""Of a trial's own process, which imports PyTorch and MLflow."""
