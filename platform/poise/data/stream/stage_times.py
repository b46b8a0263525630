"""Measures the speed of the stages before training: reading images, and cutting views.

In: the seconds that each stage reports for every batch. Out: the speed of each stage. Next:
``poise.training.interval_metrics``, which logs these speeds together with the speed of training.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

ItemT = TypeVar("ItemT")

RATES = frozenset({"throughput/read_images_per_s", "throughput/cut_images_per_s"})
"""Metrics that are summed over all workers."""


@dataclass
class StageTimes:
    """Times of reading and cutting on one worker, and numbers of images, since ``restart``."""

    cutters: int = 1
    """Number of processes or tasks that cut views at the same time."""

    read_images: int = 0
    read_s: float = 0.0
    cut_images: int = 0
    cut_s: float = 0.0
    waited_s: float = 0.0
    """Time in seconds in which the processes that cut views waited for images. It is not measured
    if other nodes cut views.
    """

    def read(self, images: int, seconds: float) -> None:
        """Adds a batch's number of images, and the time for reading them."""
        self.read_images += images
        self.read_s += seconds

    def cut(self, images: int, seconds: float) -> None:
        """Adds a batch's number of images, and the time in which one process cut their views."""
        self.cut_images += images
        self.cut_s += seconds

    def waiting(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        """Yields the items, and adds up the time of waiting for each item."""
        iterator = iter(items)
        while True:
            asked_s = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.waited_s += time.perf_counter() - asked_s
            yield item

    def speeds(self, elapsed_s: float) -> dict[str, float]:
        """Returns the speeds of this worker's stages.

        Args:
            elapsed_s: seconds since the last ``restart``.

        Returns:
            Images per second that each stage would reach if it never waited, and the share of time
            in which cutting waited for reading. Stages without a batch are left out.
        """
        found = {}
        if self.read_s:
            found["throughput/read_images_per_s"] = self.read_images / self.read_s
            found["throughput/read_wait_share"] = self.waited_s / elapsed_s
        if self.cut_s:
            found["throughput/cut_images_per_s"] = self.cutters * self.cut_images / self.cut_s
        return found

    def restart(self) -> None:
        """Sets all times and numbers of images to 0."""
        self.read_images = self.cut_images = 0
        self.read_s = self.cut_s = self.waited_s = 0.0
