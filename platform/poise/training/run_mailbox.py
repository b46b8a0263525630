"""Mailbox for messages between the process that controls a run and the run's workers.

In: a request to stop, signs of life, reports of workers that hang, and errors after which a restart
is useless.
Out: the same messages, for the processes that ask for them. Next: ``poise.training.worker``.

The mailbox is a Ray actor on the node of the controlling process, so it exists as long as that
process. Ray Train restarts the workers after any error. Restarted workers first ask the mailbox
whether an error makes the restart useless.
"""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.training.stop_request import Notice
from poise.training.watchdog import Stuck

STACKS_FILE = "stacks.txt"
"""Name of the file with the call stacks of all workers that hang. It is stored beside the
checkpoints.
"""

GATHER_S = 10.0
"""Seconds to wait for reports of other workers, before the error names the worker that hangs."""

_ASK_S = 1.0
_ANSWER_WITHIN_S = 60.0


class HangError(PoiseError):
    """Error for a run in which a worker made no progress for too long."""


def hang_error(stuck: list[Stuck], num_workers: int, minutes: float, place: Location) -> HangError:
    """Makes the error that names the worker that all others wait for.

    This is a worker that did not report at all, or else the worker with the smallest progress.

    Args:
        stuck: reports of the workers that make no progress.
        num_workers: number of the run's workers.
        minutes: time limit without progress, ``training.hang_timeout_minutes``.
        place: file with the call stacks of all workers.
    """
    silent = sorted({*range(num_workers)} - {each.rank for each in stuck})
    if silent:
        names = ", ".join(map(str, silent))
        what = f"worker rank {names} of {num_workers} does not answer, and the others wait for it"
    else:
        least = min(each.beats for each in stuck)
        what = "; ".join(
            f"worker rank {each.rank} of {num_workers} ({each.process}) makes no progress: "
            f"{each.doing}; it is in {each.where}"
            for each in sorted(stuck, key=lambda each: each.rank)
            if each.beats == least
        )
    return HangError(
        f"after {minutes:g} minutes (training.hang_timeout_minutes): {what}; the stacks are in "
        f"{place}; the last checkpoint is kept, so --resume goes on from there. If a step may take "
        "longer, raise training.hang_timeout_minutes"
    )


class _Mailbox:
    """Ray actor that stores the messages of one run."""

    def __init__(self, minutes: float, folder: Location) -> None:
        self._num_workers, self._minutes, self._folder = 0, minutes, folder
        self._wish: str | None = None
        self._failure: PoiseError | None = None
        self._stuck: list[Stuck] = []
        self._lived_s = -math.inf

    def ask_to_leave(self, reason: str) -> None:
        self._wish = reason

    def wish(self) -> str | None:
        return self._wish

    def lives(self) -> None:
        self._lived_s = time.monotonic()

    def silent_s(self) -> float:
        return time.monotonic() - self._lived_s

    def hangs(self, stuck: Stuck, num_workers: int) -> None:
        self._num_workers = num_workers
        self._stuck.append(stuck)

    def conclude_hang(self) -> None:
        place = self._folder / STACKS_FILE
        stacks = (f"worker rank {s.rank}, {s.process}, {s.doing}\n{s.stack}" for s in self._stuck)
        with suppress(OSError, PoiseError):
            place.write_text("\n".join(stacks))
        self.fail(hang_error(self._stuck, self._num_workers, self._minutes, place))

    def fail(self, error: PoiseError) -> None:
        self._failure = self._failure or error

    def failure(self) -> PoiseError | None:
        return self._failure


@dataclass(frozen=True)
class Mailbox:
    """Access to the actor with the messages of a run. The object can be sent to other processes."""

    actor: Any
    gather_s: float = GATHER_S

    @classmethod
    def open(cls, minutes: float | None, folder: Location) -> "Mailbox":
        """Starts the actor for the messages of a run, without waiting until it runs.

        Args:
            minutes: time without progress after which a worker counts as hanging; None means no
                limit.
            folder: folder of the run's checkpoints.
        """
        here = ray.get_runtime_context().get_node_id()
        actor = ray.remote(num_cpus=0)(_Mailbox).options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=True)
        )
        limit = minutes or 0
        return cls(actor.remote(limit, folder), min(GATHER_S, 60 * limit))

    def ask_to_leave(self, reason: str) -> None:
        """Asks all workers to save a checkpoint and to stop. Does not wait for them."""
        self.actor.ask_to_leave.remote(reason)

    def fail(self, error: PoiseError) -> None:
        """Stores the error that ends the run. Restarted workers read it and stop at once."""
        _answer(lambda: self.actor.fail.remote(error))

    def failure(self) -> PoiseError | None:
        """Returns the error that ended the run; None if workers may start."""
        failure: PoiseError | None = _answer(lambda: self.actor.failure.remote())
        return failure

    def lives(self) -> None:
        """Tells the other workers that this worker lives. Does not wait for an answer."""
        self.actor.lives.remote()

    def silent_s(self) -> float:
        """Returns the seconds since any worker called ``lives``; infinity if none did."""
        silent_s: float | None = _answer(lambda: self.actor.silent_s.remote())
        return math.inf if silent_s is None else silent_s

    def hangs(self, stuck: Stuck, num_workers: int) -> None:
        """Reports that a worker hangs.

        After ``gather_s`` seconds, ends the run with an error that names the worker that the others
        wait for.
        """
        _answer(lambda: self.actor.hangs.remote(stuck, num_workers))
        time.sleep(self.gather_s)
        _answer(lambda: self.actor.conclude_hang.remote())

    def follow(self, notice: Notice, over: threading.Event) -> None:
        """Waits for a request to stop and gives it to this process's ``Notice``.

        Call it in a thread.
        """
        while not over.wait(_ASK_S):
            wish = _answer(lambda: self.actor.wish.remote())
            if wish is not None:
                notice.give(wish)
                return


def _answer(ask: Callable[[], Any]) -> Any:
    """Returns the answer of the mailbox; None if its node is lost.

    The mailbox is on the node that controls the run. Without this node, the run is over anyway.
    """
    with suppress(ray.exceptions.RayError):
        return ray.get(ask(), timeout=_ANSWER_WITHIN_S)
    return None
