"""Handles SIGTERM: the first signal asks for a checkpoint, and a second signal ends at once.

In: SIGTERM in the process that controls a run, or in a worker. Out: a request to stop. Next:
``poise.training.stop_request``, which stores the request, and ``poise.training.stop_agreement``.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from poise.config.leaving import leave_within_s
from poise.training.stop_request import HERE

logger = logging.getLogger(__name__)

BY_SIGTERM = "SIGTERM"


class TakenBack(SystemExit):
    """Exit because the machine is taken away. The run saved a checkpoint and can be resumed.

    The exit status is 143, as of a process that SIGTERM ended.
    """

    def __init__(self, reason: str, step: int) -> None:
        super().__init__(128 + signal.SIGTERM)
        self.reason, self.step = reason, step

    def __str__(self) -> str:
        return f"taken back ({self.reason}): the checkpoint of step {self.step} is saved"


@contextmanager
def leaving_with_notice(ask: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Makes the first SIGTERM in the block ask for a checkpoint. Works only in the main thread.

    A second SIGTERM, or ``leave_within_s()`` seconds without an end, have the effect that SIGTERM
    had before the block.

    Args:
        ask: function that asks the workers to stop, without waiting for them. Its argument is the
            reason.

    Yields:
        Function that returns True if SIGTERM has arrived.

    Raises:
        PoiseError: ``POISE_LEAVE_WITHIN_S`` is not a number above 0.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGTERM)
    impatience = threading.Timer(leave_within_s(), os.kill, (os.getpid(), signal.SIGTERM))
    impatience.daemon = True
    came = threading.Event()

    def hear(number: int, frame: Any) -> None:
        if came.is_set():
            signal.signal(signal.SIGTERM, before)
            os.kill(os.getpid(), number)
            return
        came.set()
        ask(BY_SIGTERM)
        impatience.start()
        logger.info("SIGTERM: it saves a checkpoint and leaves; a second SIGTERM ends it at once")

    signal.signal(signal.SIGTERM, hear)
    try:
        yield came.is_set
    finally:
        impatience.cancel()
        signal.signal(signal.SIGTERM, before)


def hear_sigterm() -> None:
    """Makes the first SIGTERM in a worker set its ``Notice``. The next one has its former effect.

    Call this function in the worker's main thread. The handler is active only while a run trains in
    this process.
    """
    before = signal.getsignal(signal.SIGTERM)
    if getattr(before, "gives_notice", False):
        return

    def hear(number: int, frame: Any) -> None:
        if HERE.listens and HERE.reason is None:
            HERE.give(f"SIGTERM to process {os.getpid()} of a worker")
        elif callable(before):
            before(number, frame)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    hear.gives_notice = True  # type: ignore[attr-defined]
    signal.signal(signal.SIGTERM, hear)
