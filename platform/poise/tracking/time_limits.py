"""Bounded waits for a store that is slow, busy or gone.

In: calls to a store. Out: their results, or an error after a bounded time. Next:
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
"""Pauses between attempts to begin a run in a busy store, in seconds."""


@dataclass(frozen=True)
class Patience:
    """Waiting times of the metric writer, in seconds."""

    period_s: float = 2.0
    """Time between two sendings of the metrics logged since."""

    backoff_s: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Pauses between attempts to send; after the last attempt the points go to the file."""

    flush_s: float = 30.0
    """Time that the first flush gives a silent store before the file gets the points. Stalls of 2
    to 6 s are normal when several trials write to one SQLite file."""

    retry_s: float = 10.0
    """Time between attempts to send the points in the file."""


def within(seconds: float, turn: threading.Lock, call: Callable[[], ResultT]) -> ResultT:
    """Makes a call in a thread of its own and returns its result.

    Args:
        seconds: how long to wait for the turn and for the result.
        turn: held until the call ends. A call that nobody waits for any more therefore ends before
            the next one begins, and cannot overwrite what that one stores.
        call: the call.

    Raises:
        TimeoutError: the time is over. A call that has begun goes on in its thread, and its result
            is dropped; one whose turn has not come is never made.
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
    """Makes a call again while a busy store fails it; the last failure is raised."""
    for pause in _PAUSES_S:
        try:
            return call()
        except MlflowException as error:
            if is_refusal(error):
                raise
            time.sleep(pause)
    return call()


def is_refusal(error: Exception) -> bool:
    """Whether the store understood a request and will never take it.

    A server whose connection pool is exhausted says 400, like one that was sent nonsense.
    """
    return getattr(error, "error_code", None) in _REFUSALS and "QueuePool" not in str(error)
