"""Decides by the elapsed time when a checkpoint is due.

In: the recipe's settings, and the seconds that saving takes. Out: whether a checkpoint is due.
Next: ``poise.training.logging_and_checkpoints``, which calls ``is_due`` at logged steps, on worker
rank 0.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from poise.config.training import TrainingConfig

MOST_SHARE = 0.02
"""Largest share of a run's time for saving checkpoints, with ``checkpoint_every_steps: auto``."""

LEAST_S = 60.0
"""Smallest number of seconds between two checkpoints, and before the first checkpoint, with
``auto``. Before the first checkpoint it is unknown how long saving takes.
"""


@dataclass
class CheckpointPace:
    """Timer for checkpoints: time since the last checkpoint, and duration of the last save.

    If saving took s seconds, the next checkpoint follows after ``s / MOST_SHARE`` seconds or later.
    So saving takes at most the share ``MOST_SHARE`` of the time.
    """

    training: TrainingConfig
    clock: Callable[[], float] = time.monotonic
    """Function that returns the time in seconds."""

    def __post_init__(self) -> None:
        self._last_s, self._saving_s = self.clock(), 0.0

    @property
    def reads_clock(self) -> bool:
        """Whether checkpoints depend on the elapsed time, not only on steps."""
        return math.isfinite(self.interval_s)

    @property
    def interval_s(self) -> float:
        """Seconds from one checkpoint to the next; infinite if only the number of steps decides."""
        training = self.training
        by_cost = max(LEAST_S, self._saving_s / MOST_SHARE)
        by_steps = training.checkpoint_every_steps != "auto"
        at_most = training.checkpoint_every_minutes
        return min(math.inf if by_steps else by_cost, math.inf if at_most is None else 60 * at_most)

    def is_due(self) -> bool:
        """Returns True if at least ``interval_s`` has passed since the last checkpoint."""
        return self.clock() - self._last_s >= self.interval_s

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measures the duration of the block, which saves a checkpoint.

        The time to the next checkpoint counts from the end of the block.
        """
        started_s = self.clock()
        yield
        self._last_s = self.clock()
        self._saving_s = self._last_s - started_s
