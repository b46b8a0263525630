"""Ends a run in MLflow. If the process that controls the run died, a later process ends it.

In: a run with the status RUNNING. Out: a run with the status FINISHED, FAILED or KILLED. The status
is set once, and never by a worker. Next: ``poise.tracking.registry.registration``.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, cast

from mlflow import entities
from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.config.paths import home
from poise.tracking.known_run import KILLED_BECAUSE, controller_lives
from poise.tracking.run import FOLDER_TAG, Run, set_tags
from poise.tracking.run_lock import Holder
from poise.tracking.signals import BY_SIGNAL, raising, undisturbed
from poise.tracking.store import Store, explained
from poise.tracking.unsent_messages import Outbox, deliver, outboxes, status_delivery
from poise.tracking.unsent_metrics import SPILL_FILE
from poise.training.sigterm import TakenBack

logger = logging.getLogger(__name__)


Status = Literal["FINISHED", "FAILED", "KILLED"]


@contextmanager
def controlled(run: Run) -> Iterator[Run]:
    """Sets the run's final status after the block.

    Only the process that controls the run calls this function, not its workers. The status is
    FINISHED at the end of the block. It is KILLED after Ctrl-C, SIGTERM or SIGHUP, and FAILED after
    any other exception.
    """
    with raising():
        try:
            yield run
        except BaseException as error:
            with undisturbed():
                if isinstance(error, TakenBack):
                    _tell_why(run, error)
                _finish_or_warn(run, _status_after(error))
            raise
        with undisturbed(then_raise=True):
            _finish_or_warn(run, "FINISHED")


def finish(run: Run, status: Status) -> None:
    """Sends all messages that wait on disk, and sets the final status.

    If the store does not answer, the messages stay on disk. The next Poise command that reaches the
    store sends these messages.

    Raises:
        PoiseError: the store refuses the status for good.
    """
    if (Path(run.folder) / SPILL_FILE).exists():
        run.open_writer().close()
    with explained(f"run {run.run_id}: its status {status} could not be stored"):
        deliver(run.store, run.outbox, status_delivery(run.outbox, status), urgent=True)


@explained()
def reconcile(store: Store) -> list[str]:
    """Ends the runs that are over but still have the status RUNNING.

    If the last messages of such a run wait on disk, this function sends them, including its status.
    If there is no such status and the controlling process is dead, the run gets the status KILLED.
    For a process on another host or in a container, the lock in the run's folder shows whether the
    process is dead. A run is left unchanged if this machine cannot see its folder.

    Returns:
        The ids of the runs that got the status KILLED.
    """
    killed = [
        str(found.info.run_id)
        for found in store.search_runs("attributes.status = 'RUNNING'")
        if not _is_caught_up(store, found) and _is_closed(store, found)
    ]
    for outbox in outboxes(home()):  # ended runs may have later messages, too
        with suppress(MlflowException, OSError):  # the message may be for another store
            outbox.deliver(store.client)
    return killed


def _is_caught_up(store: Store, found: entities.Run) -> bool:
    """Sends the final status of a run that ended while the store did not answer.

    Returns True if such a status was waiting.
    """
    run = Run(store, found.info.run_id, found.info.experiment_id, _folder(found))
    status = run.outbox.status
    if status is None:
        return False
    finish(run, cast("Status", status))
    return True


def _is_closed(store: Store, found: entities.Run) -> bool:
    """Sets the status KILLED if the process that controls the run is dead.

    Returns True if the status was set.
    """
    holder, run_id = Holder.from_tags(found.data.tags), str(found.info.run_id)
    if holder is None or controller_lives(found) is not False:
        return False
    outbox = Outbox(Path(_folder(found)), run_id)
    outbox.deliver(store.client)
    store.client.set_tag(run_id, KILLED_BECAUSE, f"{holder} is gone")
    outbox.terminate(store.client, "KILLED")
    return True


def _folder(found: entities.Run) -> str:
    """Returns the run's folder.

    For a run of an older version of Poise, returns a path that does not exist.
    """
    return str(found.data.tags.get(FOLDER_TAG, os.devnull))


def _status_after(error: BaseException) -> Status:
    if isinstance(error, KeyboardInterrupt):
        return "KILLED"
    if isinstance(error, SystemExit):
        if error.code in BY_SIGNAL:
            return "KILLED"
        return "FAILED" if error.code else "FINISHED"
    return "FAILED"


def _finish_or_warn(run: Run, status: Status) -> None:
    """Ends the run, and only logs a warning if the store refuses the status.

    So the user sees the exception that really ended the run.
    """
    try:
        finish(run, status)
    except PoiseError as error:
        logger.warning("%s", error)


def _tell_why(run: Run, end: TakenBack) -> None:
    try:
        set_tags(run, {KILLED_BECAUSE: str(end)})
    except PoiseError as error:
        logger.warning("%s", error)


def stopping_tags(by: str, step: int, total_steps: int, why: str = "") -> dict[str, object]:
    """Makes the tag that says why and when a run was stopped early."""
    because = f": {why}" if why else ""
    return {"poise.stopped_early": f"by {by} after step {step} of {total_steps}{because}"}
