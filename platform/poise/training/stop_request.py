"""Request to this process to stop soon, from a signal or from the process that controls the run.

In: the reason, at any time and from any thread. Out: the reason, for the training loop. Next:
``poise.training.stop_agreement``, in which all workers agree on the step after which they stop.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Notice:
    """Reason why this process must stop soon. Signal handlers and threads may set it."""

    reason: str | None = None
    listens: bool = False
    """Whether a run trains in this process and will read the reason."""

    def give(self, reason: str) -> None:
        """Stores the reason why this process must stop. An earlier reason is kept."""
        self.reason = self.reason or reason

    @contextmanager
    def heard(self) -> Iterator["Notice"]:
        """Marks that a run trains in the block. After the block, the reason is cleared.

        A reason that was stored before the block is also read.
        """
        self.listens = True
        try:
            yield self
        finally:
            self.reason, self.listens = None, False


HERE = Notice()
"""Notice of this process, which the handler of SIGTERM sets."""
