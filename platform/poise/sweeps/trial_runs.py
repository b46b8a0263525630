"""Keeps a trial's run in MLflow consistent with the trial's record.

In: records of trials. Out: the logged metrics of a trial, and MLflow runs whose status agrees with
the records. If MLflow does not answer, the status is set later. Next:
``poise.sweeps.trial_recorder``.
"""

from contextlib import suppress

from poise.config import PoiseError
from poise.config.checkpoint_storage import checkpoints_of
from poise.diagnostics.history import History
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.tracking.ending import Status, finish, stopping_tags
from poise.tracking.history import read_histories, read_trial_statuses
from poise.tracking.run import Run, set_tags
from poise.tracking.run_writer import verdict_tags
from poise.tracking.unsent_metrics import SPILL_FILE, Spill
from poise.training.checkpoint import newest_checkpoint, read_run


def trial_run(parent: Run, study: Study, record: TrialRecord) -> Run:
    """Returns the MLflow run of a trial."""
    assert record.run_id is not None
    folder = str(study.trial_folder(record.trial.name))
    return Run(parent.store, record.run_id, parent.experiment_id, folder)


def training_name(study: Study, trial: str, record: TrialRecord | None) -> str:
    """Returns the name under which a trial trains now. Its checkpoints are stored under this name.

    Each change of settings needs a new name, because Ray Train resumes a run of the same name.
    """
    changes = record.changes if record is not None else ()
    return f"{study.name}/{trial}" + (f"/change-{len(changes)}" if changes else "")


def seen_history(parent: Run, record: TrialRecord) -> History:
    """Reads the history of a trial's metrics from MLflow; empty if the trial has no run.

    Raises:
        PoiseError: MLflow does not answer.
    """
    if record.run_id is None:
        return []
    return read_histories(parent.store, [record.run_id])[record.run_id]


def kept_history(study: Study, record: TrialRecord) -> History:
    """Reads a trial's metrics without MLflow: from its newest checkpoint and its unsent metrics.

    Metrics since that checkpoint are missing if they were already sent to MLflow.
    """
    folder = study.trial_folder(record.trial.name)
    by_step: dict[int, dict[str, float]] = {}
    newest = newest_checkpoint(checkpoints_of(f"{study.name}/{record.trial.name}"))
    if newest is not None:
        with suppress(PoiseError):  # its process may be replacing it now
            by_step |= read_run(newest)["history"]
    waiting = Spill(folder / SPILL_FILE)
    for point in waiting.read()[0] if waiting.exists else ():
        by_step.setdefault(point.step, {})[point.key] = point.value
    return sorted(by_step.items())


def end_run(parent: Run, study: Study, record: TrialRecord, status: Status) -> None:
    """Sets the status of a trial's MLflow run, and the verdict if the scheduler stopped the trial.

    Raises:
        PoiseError: MLflow does not answer.
    """
    if record.run_id is None:
        return
    run, scheduler = trial_run(parent, study, record), study.space.scheduler.name
    if record.verdict is not None and record.stopped_by == scheduler:
        stopping = stopping_tags(scheduler, record.step, record.total_steps)
        set_tags(run, verdict_tags(record.step, record.verdict) | stopping)
    finish(run, status)


def catch_up(parent: Run, study: Study) -> None:
    """Sets the status of runs whose trials ended while MLflow did not answer.

    Raises:
        PoiseError: MLflow still does not answer.
    """
    statuses = read_trial_statuses(parent)
    for record in study.records():
        status: Status = "FAILED" if record.state == "failed" else "FINISHED"
        if not record.is_open and statuses.get(record.run_id or "", status) != status:
            end_run(parent, study, record, status)
