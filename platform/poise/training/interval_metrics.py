"""Means and speed of a training interval.

In: the results of steps, and the stream of batches. Out: metrics of the interval between two logged
steps. Next: ``poise.training.loop``.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from poise.cluster.collectives import mean_over_workers, sum_over_workers
from poise.data.batch import ViewBatch
from poise.data.stream.stage_times import RATES, StageTimes

_LEAST_S = 1e-6  # of training, so that its speed is finite


@dataclass
class Meter:
    """Sums metrics from one logged step to the next, and computes their means.

    Only ``read`` waits for the GPU.
    """

    sums: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    """Number of steps since the last logged step. Steps before an interruption of the run count
    too.
    """

    timed_steps: int = 0
    images: int = 0
    num_workers: float = 1
    waited_s: float = 0.0
    started_s: float = field(default_factory=time.perf_counter)
    times: StageTimes | None = None
    """Measured times of the stages of data loading; None if they are not measured."""

    def timed(self, batches: Iterable[ViewBatch]) -> Iterator[ViewBatch]:
        """Yields the batches, and measures the time spent waiting for them."""
        iterator = iter(batches)
        while True:
            asked_s = time.perf_counter()
            batch = next(iterator, None)
            self.waited_s += time.perf_counter() - asked_s
            if batch is None:
                return
            yield batch

    def count(self, images: int, values: dict[str, Tensor]) -> None:
        """Adds a step of this worker: its number of images, and scalars to average."""
        self.steps += 1
        self.timed_steps += 1
        self.images += images
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def read(self) -> dict[str, float]:
        """Computes the means over all steps since the last logged step and all workers.

        Waits for the GPU.
        """
        one = next(iter(self.sums.values())).new_ones(())
        reduced = sum_over_workers(torch.stack([*self.sums.values(), one]).double()).tolist()
        self.num_workers = reduced.pop()
        return {
            name: value / (self.num_workers * self.steps)
            for name, value in zip(self.sums, reduced, strict=True)
        }

    def read_speed(self) -> dict[str, float]:
        """Computes the speed of training and data loading since the last ``restart_clock``.

        Call this method after ``read``, which waits until the GPU has finished.
        """
        elapsed_s = time.perf_counter() - self.started_s
        images, waited_s = self.num_workers * self.images, min(self.waited_s, elapsed_s)
        stages = self.times.speeds(elapsed_s) if self.times else {}
        for name in stages.keys() & RATES:
            stages[name] *= self.num_workers
        return stages | {
            "throughput/s_per_step": elapsed_s / self.timed_steps,
            "throughput/images_per_s": images / elapsed_s,
            "throughput/train_images_per_s": images / max(elapsed_s - waited_s, _LEAST_S),
            "throughput/data_wait_share": self.waited_s / elapsed_s,
            "throughput/workers": self.num_workers,
        }

    def clear(self) -> None:
        """Sets the sums and the number of steps to 0, after a logged step."""
        self.sums, self.steps = {}, 0

    def restart_clock(self) -> None:
        """Starts a new measurement of time, so that only later steps count for the speed."""
        self.timed_steps = self.images = 0
        self.waited_s, self.started_s = 0.0, time.perf_counter()
        if self.times:
            self.times.restart()

    def share(self) -> None:
        """Replaces the sums by their means over workers. All workers must call this method."""
        if self.sums:
            means = mean_over_workers(torch.stack([*self.sums.values()]))
            self.sums = dict(zip(self.sums, means, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Returns the number of steps and the sums since the last logged step, for a checkpoint.

        Directly after a logged step, there are no sums.
        """
        return {"steps": self.steps, "sums": dict(self.sums)}

    def load_state_dict(self, saved: dict[str, Any], device: torch.device) -> None:
        """Restores the number of steps and the sums that ``state_dict`` saved in a checkpoint."""
        self.steps = saved["steps"]
        self.sums = {name: value.to(device) for name, value in saved["sums"].items()}
