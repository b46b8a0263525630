"""Watches from outside whether a run makes progress: whether it has stored a new checkpoint.

In: the folder of a run's checkpoints. Out: its newest checkpoint, and a timer for the next look.
Next: ``poise.training.worker_failures`` and ``poise.sweeps.restarts``, which let a run restart as
long as it makes progress.
"""

import time

from poise.config.errors import PoiseError
from poise.config.locations import Location


class Pause:
    """Timer that limits how often something is checked. Ray asks many times a second."""

    every_s = 1.0
    """Time in seconds between two checks."""

    def __init__(self) -> None:
        self._last_s = float("-inf")

    def is_over(self) -> bool:
        """Returns True if the next check is due, and restarts the timer."""
        over = time.monotonic() - self._last_s >= self.every_s
        self._last_s = time.monotonic() if over else self._last_s
        return over


def newest_or(folder: Location, known: Location | None) -> Location | None:
    """Returns the newest checkpoint; returns ``known`` if the storage does not answer now."""
    from poise.training.checkpoint import newest_checkpoint  # PyTorch, which a start can do without

    try:
        return newest_checkpoint(folder)
    except (OSError, PoiseError):
        return known
