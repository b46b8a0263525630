"""Limits the time that calls wait for a store that is slow, busy or not available.

In: calls to a store. Out: their results, or an error after a limited time. Next:
``poise.tracking.metric_writer``, ``poise.tracking.unsent_messages`` and ``poise.tracking.run``.
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
"""Pauses in seconds between attempts to begin a run in a busy store."""


@dataclass(frozen=True)
class Patience:
    """Waiting times of the metric writer, in seconds."""

    period_s: float = 2.0
    """Time between two requests with new metrics."""

    backoff_s: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Pauses between attempts to send. After the last attempt the points go to the file."""

    flush_s: float = 30.0
    """Time that the first flush waits for a store that does not answer. Then the points go to the
    file. Delays of 2 to 6 s are normal if several trials write to one SQLite file.
    """

    retry_s: float = 10.0
    """Time between attempts to send the points in the file."""


def within(seconds: float, turn: threading.Lock, call: Callable[[], ResultT]) -> ResultT:
    """Makes a call in a separate thread and returns its result.

    Args:
        seconds: longest time to wait for the lock and for the result.
        turn: lock that is held until the call ends. So a call that has timed out still ends before
            the next call begins, and cannot overwrite the data of the next call.
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
    """Repeats a call while a busy store makes it fail. Raises the last error."""
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

    A server without free connections answers 400, which also means an invalid request.
    """
    return getattr(error, "error_code", None) in _REFUSALS and "QueuePool" not in str(error)
