"""Limits the time that calls wait for a store that is slow, busy or not available.

In: calls to a store. Out: their results, or an error after a limited time. Next:
``poise.tracking.run_writer``, ``poise.tracking.unsent_messages`` and ``poise.tracking.run``.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from mlflow.exceptions import MlflowException

ResultT = TypeVar("ResultT")

_REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "PERMISSION_DENIED",
    "RESOURCE_DOES_NOT_EXIST",
    "UNAUTHENTICATED",
}

_PAUSES_S = (1.0, 4.0, 15.0)
"""Pauses in seconds between attempts to create a run in a busy store."""


@dataclass(frozen=True)
class Patience:
    """Waiting times of the metric writer, in seconds."""

    period_s: float = 2.0
    """Seconds between two requests with new metrics."""

    backoff_s: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Pauses in seconds between attempts to send points. After the last attempt, the points are
    written to a file.
    """

    flush_s: float = 30.0
    """Seconds that the first flush waits for a store that does not answer. Then the points are
    written to a file. If several trials write to one SQLite file, delays of 2 to 6 s are normal.
    """

    retry_s: float = 10.0
    """Seconds between attempts to send the points that were written to a file."""


def within(seconds: float, turn: threading.Lock, call: Callable[[], ResultT]) -> ResultT:
    """Makes a call in a separate thread and returns its result.

    Args:
        seconds: longest time to wait for the lock and for the result.
        turn: lock that is held until the call ends. So a call that timed out ends before the next
            call begins, and cannot overwrite newer data.
        call: function to call.

    Raises:
        TimeoutError: the time is over. A call that has begun continues in its thread, but its
            result is dropped. A call that still waits for the lock is never made.
    """
    until = time.monotonic() + seconds
    if not turn.acquire(timeout=seconds):
        raise TimeoutError
    answer: Future[ResultT] = Future()

    def make() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)
        finally:
            turn.release()

    threading.Thread(target=make, name="store-call", daemon=True).start()
    return answer.result(max(0.0, until - time.monotonic()))


def patiently(call: Callable[[], ResultT]) -> ResultT:
    """Repeats a call that fails because the store is busy. Raises the last error."""
    for pause in _PAUSES_S:
        try:
            return call()
        except MlflowException as error:
            if is_refusal(error):
                raise
            time.sleep(pause)
    return call()


def is_refusal(error: Exception) -> bool:
    """Returns True if the store understood a request and will never accept it.

    A server without free connections answers 400, the same status as for an invalid request.
    """
    return getattr(error, "error_code", None) in _REFUSALS and "QueuePool" not in str(error)
