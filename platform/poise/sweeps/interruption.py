"""Ctrl-C, heard even where a library loses it.

In: the signal. Out: a callback for Tune, which ends the study at its next step. Next:
``poise.sweeps.running``.

Python answers Ctrl-C with an exception at whatever it happens to do. Raised within a library's
callback from C, which nobody can answer, it is dropped, and the study would train on.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune import Callback


class Interruption(Callback):  # type: ignore[misc]
    """Whether a person has asked for the end."""

    asked = False

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Raises KeyboardInterrupt if so."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def heard_interruption() -> Iterator[Interruption]:
    """Remembers a Ctrl-C, beside what it does by itself; only the main thread may arrange that."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    previous = signal.getsignal(signal.SIGINT)

    def hear(number: int, frame: Any) -> None:
        interruption.asked = True
        if callable(previous):
            previous(number, frame)

    signal.signal(signal.SIGINT, hear)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, previous)
