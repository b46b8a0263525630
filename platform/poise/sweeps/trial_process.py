"""Carries out one trial, in a process that Tune starts.

In: a trial and its study. Out: the trial's record and its ended MLflow run. Next:
``poise.sweeps.trial_recorder``. A trial of one worker trains in this process, and the next trial
reuses the process. If a trial has several workers, or a scheduler may stop it, the process controls
a Ray Train run.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from ray import tune

from poise.cluster.nodes import this_node
from poise.config import PoiseError, Recipe
from poise.config.errors import one_line
from poise.config.locations import Location
from poise.config.shared_folders import Marks, check_shared
from poise.runs.initial_weights import check_same_start
from poise.runs.outcome import Finished
from poise.runs.pretraining import Extras, pretrain
from poise.runs.progress import BoardObserver
from poise.studies.labels import described
from poise.studies.records import TrialRecord, begun_again
from poise.studies.study import Study
from poise.studies.trials import Trial
from poise.sweeps.scheduler_reports import ForScheduler
from poise.sweeps.trial_runs import seen_history, training_name
from poise.tracking.ending import controlled
from poise.tracking.run import Run, create_trial_run, set_tags
from poise.training.capacity import uses_gpu
from poise.training.datasets import check_unchanged, fingerprints
from poise.training.schedule import timetable_of
from poise.training.spec import StartingPoint
from poise.training.worker import first_cause

UNTRAINED_FOLDER = "untrained"
"""Folder in a study's folder for the metrics of untrained networks."""


@dataclass(frozen=True)
class Context:
    """Objects that all trials of a study share."""

    study: Study
    home: str
    run: Run
    """MLflow run of the study, the parent of its trials' runs."""

    board: Any
    """Ray actor that receives and prints progress lines."""

    marks: Marks = ()
    """Files that the process of the study keeps in the study's folders."""


def carry_out(config: dict[str, Any], context: Context) -> None:
    """Trains one trial, or continues an interrupted trial.

    If the trial fails, the function writes the reason to the record and returns. So other trials
    continue. Tune repeats a trial only if its process died.

    Raises:
        PoiseError: this node does not share the study's folder, so its record would be lost. The
            whole study ends (``Restarts``).
    """
    os.environ["POISE_HOME"] = context.home  # this process was started in another folder
    check_shared(context.marks, this_node())
    torch.set_num_threads(1)  # training sets its own number of threads
    trial, study = Trial(**config), context.study
    found = study.record(trial.name)
    if found is not None and found.is_done:
        return  # the trial ended just before the scheduler restarted it
    record = begun_again(found or TrialRecord(trial, "running"))
    trial = record.current
    started_s = time.monotonic()
    try:
        record = _train(trial, context, record)
    except _Superseded:
        return  # the study's process has recorded the end, or restarted the trial
    except Exception as error:
        record = study.record(trial.name) or record
        step = _last_step(context, record)
        record = replace(record, state="failed", reason=reason(error), step=step)
    study.write(replace(record, seconds=record.seconds + time.monotonic() - started_s))


def _last_step(context: Context, record: TrialRecord) -> int:
    """Returns the last known step of a trial that failed. Its steps count for the budget."""
    try:
        seen = seen_history(context.run, record)
    except Exception:  # the trial may have failed because of the store
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
        if study.datasets:  # a dataset may have been replaced after the last trial
            check_unchanged(f"study {study.name}", study.datasets, fingerprints(recipe))
        check_same_start(recipe, study.trial_folder(trial.name))
        timetable = timetable_of(recipe)
        total_steps, planned_steps = timetable.total_steps, timetable.planned_steps
        record = replace(record, total_steps=total_steps, planned_steps=planned_steps)
        study.write(record)
        here = _trains_here(study, recipe)
        finished = pretrain(
            recipe,
            run,
            training_name(study, trial.name, record),
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
    """Returns True if this process itself trains the trial.

    If a scheduler may stop trials, Ray Train trains the trial in other processes. Ray Train also
    stores the checkpoints, and their paths are reported to the scheduler.
    """
    return recipe.training.num_workers == 1 and not study.space.scheduler.stops_trials


def _starting_point(record: TrialRecord) -> StartingPoint | None:
    """Returns the checkpoint of another trial that this trial starts from; None without changes."""
    if not record.changes:
        return None
    change = record.changes[-1]
    return StartingPoint(Location.of(change.checkpoint), (*change.settings, "seed"))


def _lineage(record: TrialRecord) -> dict[str, Any]:
    """Returns the changes of the trial's settings, for the lineage in the backbone's package."""
    return {"changes": [asdict(change) for change in record.changes]} if record.changes else {}


class _Superseded(SystemExit):
    """Exit of a process whose trial the scheduler stopped or restarted.

    It counts as a clean exit.
    """


@contextmanager
def _stopping_is_no_failure(study: Study, begun: TrialRecord) -> Iterator[None]:
    """Ignores errors in the block if the scheduler has stopped the trial.

    The trial's workers may die before this process does, and that raises an error.
    """
    try:
        yield
    except Exception:
        _check_current(study, begun)
        raise


def _check_current(study: Study, begun: TrialRecord) -> None:
    """Exits this process if the scheduler has stopped the trial or given it another checkpoint."""
    record = study.record(begun.trial.name)
    if record is not None and (record.state == "stopped" or record.changes != begun.changes):
        raise _Superseded from None


def concluded(record: TrialRecord, finished: Finished) -> TrialRecord:
    """Returns the final record of a trial whose training returned a result."""
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
    """Describes in one line why a trial failed. With nested errors, this is the innermost cause."""
    cause = first_cause(error)
    text = one_line(cause)
    if len(text) > _LONG_REASON:
        text = f"{text[: _LONG_REASON // 2]} … {text[-_LONG_REASON // 2 :]}"
    return text if isinstance(cause, PoiseError) else f"{type(cause).__name__}: {text}"


_LONG_REASON = 600
"""Largest number of characters of a reason. The middle of a longer text is left out."""


def trainable(context: Context) -> Any:
    """Returns the function that Tune runs: ``carry_out``, with the resources that it needs."""
    bound = tune.with_parameters(carry_out, context=context)
    return tune.with_resources(bound, partial(_resources, context.study))


def _resources(study: Study, config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Returns the resources of a trial's process.

    If the process trains, it needs the resources of a worker. If the process only controls workers
    (a controller), it reserves memory but no CPU. If controllers reserved a fraction of a CPU, two
    trials of one CPU each would not fit on two CPUs. If controllers reserved whole CPUs, they could
    occupy the CPUs that their workers wait for, without an error. Memory is a resource of every Ray
    node, and a controller really needs memory.
    """
    recipe = Trial(**config).recipe(study.recipe, study.name)
    if not _trains_here(study, recipe):
        return tune.PlacementGroupFactory([{"CPU": 0, "memory": CONTROLLER_BYTES}])
    gpu = {"GPU": 1.0} if uses_gpu(recipe) else {}
    return tune.PlacementGroupFactory([{"CPU": recipe.training.cpus_per_worker, **gpu}])


CONTROLLER_BYTES = 500 * 2**20
"""Bytes of memory of a process that controls a trial. It imports PyTorch and MLflow."""
