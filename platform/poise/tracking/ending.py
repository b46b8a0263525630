"""Ends a run in MLflow. If its controller died, a later process ends it.

In: a run with the status RUNNING. Out: FINISHED, FAILED or KILLED. The status is set once, and
never by a worker. Next: ``poise.tracking.registry.versions``.
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
from poise.tracking.known_run import controller_lives
from poise.tracking.run import FOLDER_TAG, SPILL_FILE, Run
from poise.tracking.run_lock import Holder
from poise.tracking.signals import BY_SIGNAL, raising, undisturbed
from poise.tracking.store import Store, explained
from poise.tracking.unsent_messages import Outbox, deliver, outboxes, status_delivery

logger = logging.getLogger(__name__)


Status = Literal["FINISHED", "FAILED", "KILLED"]


@contextmanager
def controlled(run: Run) -> Iterator[Run]:
    """Sets the run's final status after the block.

    Only the controlling process uses it, not workers. The status is FINISHED at the end of the
    block; KILLED after Ctrl-C, SIGTERM or SIGHUP; FAILED after any other exception.
    """
    with raising():
        try:
            yield run
        except BaseException as error:
            with undisturbed():
                _finish_or_warn(run, _status_after(error))
            raise
        with undisturbed(then_raise=True):
            _finish_or_warn(run, "FINISHED")


def finish(run: Run, status: Status) -> None:
    """Sends all messages that wait on disk, and sets the final status.

    If the store does not answer, the messages stay on disk. The next Poise command that reaches the
    store sends them.

    Raises:
        PoiseError: the store answers and refuses the status permanently.
    """
    if (Path(run.folder) / SPILL_FILE).exists():
        run.open_writer().close()
    with explained(f"run {run.run_id}: its status {status} could not be stored"):
        deliver(run.store, run.outbox, status_delivery(run.run_id, status), urgent=True)


@explained()
def reconcile(store: Store) -> list[str]:
    """Ends runs that are over although the store says that they are running.

    If the last messages of a run wait on disk, they are sent now, including the status. Any other
    run is set to KILLED if its controlling process is dead. For a process of another host or
    container, the run's folder shows whether it is dead. If this machine cannot see the folder, the
    run is not changed.

    Returns:
        The ids of the killed runs.
    """
    killed = [
        str(found.info.run_id)
        for found in store.search_runs("attributes.status = 'RUNNING'")
        if not _is_caught_up(store, found) and _is_closed(store, found)
    ]
    for outbox in outboxes(home()):  # for ended runs too, such as a report written later
        with suppress(MlflowException, OSError):  # the message may be for another store
            outbox.deliver(store.client)
    return killed


def _is_caught_up(store: Store, found: entities.Run) -> bool:
    """Sends the status of a run that ended by itself. Returns True if there was one."""
    run = Run(store, found.info.run_id, found.info.experiment_id, _folder(found))
    status = run.outbox.status
    if status is None:
        return False
    finish(run, cast("Status", status))
    return True


def _is_closed(store: Store, found: entities.Run) -> bool:
    """Sets a run to KILLED if its controller is dead. Returns True if it did."""
    holder, run_id = Holder.from_tags(found.data.tags), str(found.info.run_id)
    if holder is None or controller_lives(found) is not False:
        return False
    Outbox(Path(_folder(found)), run_id).deliver(store.client)
    store.client.set_tag(run_id, "poise.killed_because", f"{holder} is gone")
    store.client.set_terminated(run_id, "KILLED")
    return True


def _folder(found: entities.Run) -> str:
    """Returns the run's folder. Runs of older versions have no tag for it, so it does not exist."""
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
    """Finishes the run.

    If the store refuses, it only warns, so that the real reason of the end is shown.
    """
    try:
        finish(run, status)
    except PoiseError as error:
        logger.warning("%s", error)


def stopping_tags(by: str, step: int, total_steps: int, why: str = "") -> dict[str, object]:
    """Makes a run's tag for its early end."""
    because = f": {why}" if why else ""
    return {"poise.stopped_early": f"by {by} after step {step} of {total_steps}{because}"}
