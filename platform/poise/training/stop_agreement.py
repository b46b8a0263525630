"""Lets all workers stop after the same step when one machine will be taken away.

In: each worker's ``Notice`` (the reason to stop soon), and Ray's information about nodes that will
be taken away. Out: the reason, on all workers after the same step. Next:
``poise.training.on_worker``, which then saves a checkpoint and stops.

Cloud providers, SLURM and Kubernetes announce some seconds in advance that a machine is taken away.
If workers stopped at different steps, they would wait for each other forever. So the workers
exchange one number per step. The exchange runs on CPUs, in parallel with training, so training does
not wait for it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist

from poise.training.stop_request import HERE, Notice
from poise.training.watchdog import LONGEST_WAIT

ASK_S = 5.0
"""Time in seconds between two questions to Ray whether a node will be taken away. A question takes
20 ms.
"""

_NOTHING, _TIME_TO_ASK, _LEAVE = 0, 1, 2
"""Numbers that workers exchange: nothing new, time to ask Ray, or stop. ``_LEAVE + r`` means that
worker rank r must stop.
"""


@dataclass
class SharedNotice:
    """Agreement of all workers on the step after which they stop.

    Each step starts an exchange of numbers, and the end of the next step reads the result. So a
    worker does not wait for another worker that is a little slower.
    """

    ask: Callable[[], str | None]
    """Function that asks Ray whether a node will be taken away, and returns the reason. All workers
    call it at the same step.
    """

    rank: int = 0
    world_size: int = 1
    notice: Notice = field(default_factory=lambda: HERE)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._asked_s = self.clock()
        # The others wait here while the first worker evaluates or stores a checkpoint, however long
        # that takes. The watchdog ends a run that hangs.
        self._group: Any = (
            dist.new_group(backend="gloo", timeout=LONGEST_WAIT) if self.world_size > 1 else None
        )
        self._sent: Any = None
        self._value = torch.zeros(1, dtype=torch.int32)

    def after_step(self) -> str | None:
        """Returns the reason if all workers must stop after this step; None if training goes on."""
        word = self._exchanged(self._own_word())
        if word == _NOTHING:
            return None
        if word >= _LEAVE:
            return self.notice.reason or f"worker rank {word - _LEAVE} got notice"
        self._asked_s = self.clock()
        return self.ask()

    def _own_word(self) -> int:
        if self.notice.reason is not None:
            return _LEAVE + self.rank
        is_due = self.rank == 0 and self.clock() - self._asked_s >= ASK_S
        return _TIME_TO_ASK if is_due else _NOTHING

    def _exchanged(self, word: int) -> int:
        """Sends this worker's number. Returns the largest number of all workers one step before."""
        if self._group is None:
            return word
        heard = _NOTHING
        if self._sent is not None:
            self._sent.wait()
            heard = int(self._value)
        self._value = torch.full((1,), word, dtype=torch.int32)
        self._sent = dist.all_reduce(self._value, dist.ReduceOp.MAX, self._group, async_op=True)
        return heard
