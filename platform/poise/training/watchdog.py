"""Detects a worker that makes no progress, so that the run does not wait forever.

In: a call of ``Watchdog.beat`` at each batch and each step, and signs of life during evaluations
and uploads. Out: a report of where the worker hangs. Next: ``poise.training.run_mailbox``, which
finds the worker that the others wait for.

If a worker waits for data, its GPU or storage, all workers wait for it in the next exchange of
gradients. PyTorch's own time limit would end the other workers, without naming the worker that
hangs. So this limit is far away (``LONGEST_WAIT``).
"""

import math
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from poise.data.batch import ViewBatch

LONGEST_WAIT = timedelta(days=20)
"""Time limit of PyTorch's exchanges between workers. Their milliseconds fit into 32 bits."""

_SHOWN_FRAMES = 6
_LOOKS = 20
"""Smallest number of checks within the time that a worker may make no progress."""

_LONGEST_LOOK_S = 3.0
"""Longest time in seconds between two checks. All workers must notice a hang at about the same
time, because reports are compared some seconds after the first report.
"""


@dataclass(frozen=True)
class Stuck:
    """Report of a worker that made no progress for too long."""

    rank: int
    beats: int
    """Number of calls of ``beat`` on this worker so far. The other workers wait for the worker with
    the smallest number.
    """

    doing: str
    process: str
    stack: str
    """Call stack of the worker's training, with the innermost call last."""

    @property
    def where(self) -> str:
        """Innermost calls of the stack in one line, with the innermost call first."""
        lines = [line.strip() for line in self.stack.splitlines() if line.startswith("  File")]
        calls = [_call(line) for line in reversed(lines[-_SHOWN_FRAMES:])]
        return " < ".join(calls)


def _call(line: str) -> str:
    """Shortens a line of a stack to ``function (file:line)``."""
    file, number, name = (part.split(" ", 1)[-1] for part in line.split(", "))
    return f"{name} ({file.strip(chr(34)).rsplit('/', 1)[-1]}:{number})"


@dataclass
class SignsOfLife:
    """Counts calls during long tasks of this worker, such as a batch of an evaluation.

    Other workers wait meanwhile. So they hear of these calls, and do not take the run for hanging.
    The calls are no progress in the order of steps, which ``Stuck.beats`` counts.
    """

    send: Callable[[], None] = lambda: None
    """Function that tells the other workers that this worker lives."""

    silent_s: Callable[[], float] = lambda: math.inf
    """Function that returns the seconds since any worker of the run called ``send``."""

    count: int = 0

    def __call__(self) -> None:
        """Counts a sign of life. The watchdog sends it to the other workers soon."""
        self.count += 1


class Watchdog:
    """Thread that watches the training of this worker.

    Args:
        limit_s: longest allowed time in seconds without a call of ``beat``, and without a sign of
            life of any worker; None switches the check off.
        tell: function that is called once, in another thread, if the limit is exceeded.
        rank: rank of this worker.
        signs: signs of life of this worker and of the others.
    """

    def __init__(
        self,
        limit_s: float | None,
        tell: Callable[[Stuck], None],
        rank: int = 0,
        signs: SignsOfLife | None = None,
    ) -> None:
        self._limit_s, self._tell, self._rank = limit_s, tell, rank
        self._signs = signs or SignsOfLife()
        self._beats, self._doing = 0, "start"
        self._over = threading.Event()
        self._watched = threading.get_ident()

    def __enter__(self) -> Self:
        self._watched = threading.get_ident()
        if self._limit_s is not None:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()

    def beat(self, doing: str) -> None:
        """Tells the watchdog that the worker makes progress.

        Args:
            doing: description of the worker's next task, for the error.
        """
        self._beats, self._doing = self._beats + 1, doing

    def beating(self, batches: "Iterable[ViewBatch]", step: int) -> "Iterator[ViewBatch]":
        """Yields the batches, and calls ``beat`` before and after each batch is used.

        Args:
            batches: batches of this worker.
            step: number of finished steps before the first batch.
        """
        for number, batch in enumerate(batches, start=step + 1):
            self.beat(f"step {number}")
            yield batch
            self.beat(f"waiting for the batch of step {number + 1}")

    def _watch(self) -> None:
        assert self._limit_s is not None
        look_s = min(self._limit_s / _LOOKS, _LONGEST_LOOK_S)
        silent_s, looked_s = 0.0, time.monotonic()
        beats, signs = self._beats, self._signs.count
        while not self._over.wait(look_s):
            now_s = time.monotonic()
            # The time in which this process was suspended does not count.
            passed_s = min(now_s - looked_s, 2 * look_s)
            is_silent = (beats, signs) == (self._beats, self._signs.count)
            silent_s = silent_s + passed_s if is_silent else 0.0
            if signs != self._signs.count:
                self._signs.send()
            beats, signs, looked_s = self._beats, self._signs.count, now_s
            if silent_s > self._limit_s:
                silent_s = min(silent_s, self._signs.silent_s())
            if silent_s > self._limit_s:
                self._tell(self._stuck())
                return

    def _stuck(self) -> Stuck:
        frame = sys._current_frames().get(self._watched)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        process = f"process {os.getpid()} on {socket.gethostname()}"
        return Stuck(self._rank, self._beats, self._doing, process, stack)
