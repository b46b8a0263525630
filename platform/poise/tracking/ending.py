"""How a run ends: what its controller says, or what is found when the controller died.

In: a run that is RUNNING. Out: FINISHED, FAILED or KILLED, once, and never set by a worker.
Next: ``poise.tracking.registry.versions``.
"""

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from mlflow.exceptions import MlflowException

from poise.config.errors import PoiseError
from poise.tracking.holder import Holder
from poise.tracking.known_run import controller_lives
from poise.tracking.run import (
    SPILL_FILE,
    Run,
)
from poise.tracking.store import Store, explained, safe_line

logger = logging.getLogger(__name__)


Status = Literal["FINISHED", "FAILED", "KILLED"]


_STOPPED_BY_A_SIGNAL = {signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM}


_FINISH_PAUSES_S = (1.0, 4.0, 15.0)


@contextmanager
def controlled(run: Run) -> Iterator[Run]:
    """Sets the run's final status; used by the process that started it, and by no worker.

    FINISHED at the end of the block; KILLED on Ctrl-C or SIGTERM; FAILED on any other exception.
    """
    with _sigterm_raises():
        try:
            yield run
        except BaseException as error:
            _finish_or_warn(run, _status_after(error))
            raise
        _finish_or_warn(run, "FINISHED")


def finish(run: Run, status: Status) -> None:
    """Sends metrics that still wait on disk and sets the final status.

    Raises:
        PoiseError: the store does not answer.
    """
    if (Path(run.folder) / SPILL_FILE).exists():
        run.open_writer().close()
    for pause in (*_FINISH_PAUSES_S, None):
        try:
            run.store.client.set_terminated(run.run_id, status)
            return
        except MlflowException as error:
            if pause is None:
                raise PoiseError(
                    f"run {run.run_id}: its status {status} could not be stored: {safe_line(error)}"
                ) from None
            time.sleep(pause)


@explained()
def reconcile(store: Store) -> list[str]:
    """Sets runs to KILLED whose controlling process is dead; returns their ids.

    A process of another host or container is dead once its folder shows that. Where the folder
    cannot be seen from here, nobody can tell, and the run is left alone.
    """
    killed = []
    for run in store.search_runs("attributes.status = 'RUNNING'"):
        holder = Holder.from_tags(run.data.tags)
        if holder is None or controller_lives(run) is not False:
            continue
        store.client.set_tag(run.info.run_id, "poise.killed_because", f"{holder} is gone")
        store.client.set_terminated(run.info.run_id, "KILLED")
        killed.append(str(run.info.run_id))
    return killed


def _status_after(error: BaseException) -> Status:
    if isinstance(error, KeyboardInterrupt):
        return "KILLED"
    if isinstance(error, SystemExit):
        if error.code in _STOPPED_BY_A_SIGNAL:
            return "KILLED"
        return "FAILED" if error.code else "FINISHED"
    return "FAILED"


def _finish_or_warn(run: Run, status: Status) -> None:
    """A store that fails at the end must not hide how the run itself ended."""
    try:
        finish(run, status)
    except PoiseError as error:
        logger.warning("%s", error)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Makes SIGTERM leave by the same door as Ctrl-C; only the main thread may arrange that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def stopping_tags(by: str, step: int, total_steps: int, why: str = "") -> dict[str, object]:
    """A run's tag for its early end."""
    because = f": {why}" if why else ""
    return {"poise.stopped_early": f"by {by} after step {step} of {total_steps}{because}"}
