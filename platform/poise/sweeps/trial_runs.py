"""Keeps a trial's run in MLflow consistent with the trial's record.

In: records. Out: the measurements of their runs; and runs that have the status of the record, at
the latest when the store answers again. Next: ``poise.sweeps.referee``.
"""

from contextlib import suppress

from poise.config import PoiseError
from poise.diagnostics.history import History
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.tracking.ending import Status, finish, stopping_tags
from poise.tracking.history import read_histories, read_trial_statuses
from poise.tracking.metric_writer import verdict_tags
from poise.tracking.run import SPILL_FILE, Run, set_tags
from poise.tracking.unsent_metrics import Spill
from poise.training.checkpoint import newest_checkpoint, read_run


def trial_run(parent: Run, study: Study, record: TrialRecord) -> Run:
    """Returns a trial's run in MLflow."""
    assert record.run_id is not None
    folder = str(study.trial_folder(record.trial.name))
    return Run(parent.store, record.run_id, parent.experiment_id, folder)


def seen_history(parent: Run, record: TrialRecord) -> History:
    """Returns all metrics of a trial's run by step; empty if it has no run.

    Raises:
        PoiseError: the store does not answer.
    """
    if record.run_id is None:
        return []
    return read_histories(parent.store, [record.run_id])[record.run_id]


def kept_history(study: Study, record: TrialRecord) -> History:
    """Reads a trial's metrics only from its folder: newest checkpoint and unsent points.

    Steps since that checkpoint are missing if the store had already received them.
    """
    folder = study.trial_folder(record.trial.name)
    by_step: dict[int, dict[str, float]] = {}
    newest = newest_checkpoint(folder)
    if newest is not None:
        with suppress(PoiseError):  # its process may be replacing it now
            by_step |= read_run(newest)["history"]
    waiting = Spill(folder / SPILL_FILE)
    for point in waiting.read()[0] if waiting.exists else ():
        by_step.setdefault(point.step, {})[point.key] = point.value
    return sorted(by_step.items())


def end_run(parent: Run, study: Study, record: TrialRecord, status: Status) -> None:
    """Sets the status of a trial's run. If the scheduler stopped the trial, also its verdict.

    Raises:
        PoiseError: the store does not answer.
    """
    if record.run_id is None:
        return
    run, scheduler = trial_run(parent, study, record), study.space.scheduler.name
    if record.verdict is not None and record.stopped_by == scheduler:
        stopping = stopping_tags(scheduler, record.step, record.total_steps)
        set_tags(run, verdict_tags(record.step, record.verdict) | stopping)
    finish(run, status)


def catch_up(parent: Run, study: Study) -> None:
    """Ends the runs of trials that ended while the store did not answer.

    Raises:
        PoiseError: the store still does not answer.
    """
    statuses = read_trial_statuses(parent)
    for record in study.records():
        status: Status = "FAILED" if record.state == "failed" else "FINISHED"
        if not record.is_open and statuses.get(record.run_id or "", status) != status:
            end_run(parent, study, record, status)
