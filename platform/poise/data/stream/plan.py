"""Computes which samples a step has. The order of samples is computed and never stored.

In: a dataset's layout, a batch size, a seed. Out: the sample ids of any step, without computing
earlier steps. Next: ``poise.data.stream.reader`` reads the samples.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.dataset import ImageDataset, group_sizes
from poise.data.stream.lanes import EpochLanes, layout_of

WINDOW_BYTES = 2**30
MAX_WINDOW_SAMPLES = 2**16


@dataclass(frozen=True)
class Share:
    """Samples of one step that one worker reads."""

    sample_ids: NDArray[np.int64]
    """Sample ids in the order of the step: ``[batch_size / workers]``."""

    groups: NDArray[np.int64]
    """Row groups of the windows that this step uses. A reader needs no other row groups for this
    step.
    """


class Plan:
    """Order of samples over a whole run.

    The order depends on seed, epoch, batch size and the dataset's row groups. It does not depend on
    the number of workers. So the global batch of every step is the same on one worker as on many,
    and the number of workers may change between steps.

    **Lanes.** Every epoch is divided into ``num_lanes`` lanes. Each lane has its own row groups,
    its own window and its own shuffle. A step takes the same number of samples from each lane. The
    batch is cut into equal shares in the order of the lanes, one for each worker.

    - If the number of workers W divides the number of lanes L, each worker has its own lanes.
      Together the workers read every row group once per epoch. A row group at the border of two
      workers' lanes is read by both.
    - Any other W that divides the batch size also works, but workers share lanes. On average they
      read every row group (L + W − gcd(L, W)) / L times.

    **Shuffle.** Every epoch draws a new order of the row groups. Each lane shuffles the samples of
    one window after the other. The windows of all lanes together contain at most ``window_samples``
    samples, and a step takes its samples from all of these windows. If the dataset has at most
    ``window_samples`` samples, there is one lane. Then the whole dataset is shuffled, and every
    worker keeps all of it in memory.

    **Rest.** An epoch contains every sample at most once. Samples that do not fill a batch are left
    out. The left-out samples differ between epochs.

    **Memory.** The plan stores some numbers for each row group, and the ids of the current windows.
    A reader stores the row groups of its own lanes' windows. In a step that ends a window and
    begins the next one, the reader stores the row groups of both windows.
    """

    def __init__(
        self,
        sizes: NDArray[np.int64],
        batch_size: int,
        epochs: int,
        seed: int,
        window_samples: int = MAX_WINDOW_SAMPLES,
    ) -> None:
        """Makes a plan.

        Args:
            sizes: number of samples in each row group.
            batch_size: number of samples in a step, over all workers.
            epochs: number of passes over the dataset.
            seed: seed of the run.
            window_samples: largest number of samples in the windows of all lanes together.

        Raises:
            PoiseError: a batch is larger than the dataset.
        """
        self.num_samples = int(sizes.sum())
        self.batch_size, self.epochs = batch_size, epochs
        if batch_size > self.num_samples:
            raise PoiseError(
                f"training.batch_size={batch_size} is more than the dataset's {self.num_samples} "
                "images; lower it or prepare more images"
            )
        self._layout = layout_of(sizes, batch_size, window_samples)
        self._lanes = lru_cache(maxsize=1)(partial(EpochLanes, self._layout, seed))

    @classmethod
    def of(cls, recipe: Recipe, dataset: ImageDataset) -> "Plan":
        """Makes the plan of a run from its recipe and dataset."""
        training = recipe.training
        return cls(
            group_sizes(dataset.manifest),
            training.batch_size,
            training.epochs,
            recipe.seed,
            window_samples(dataset.mean_bytes),
        )

    @property
    def num_lanes(self) -> int:
        """Number of lanes (parts of an epoch), which is a divisor of the batch size."""
        return self._layout.num_lanes

    @property
    def described(self) -> str:
        """Description of the order of samples. Checkpoints store it to detect a changed order.

        If seeds, batch sizes and images are equal, equal descriptions mean equal orders.
        """
        layout = self._layout
        sizes = hashlib.sha256(layout.sizes.astype("<i8").tobytes()).hexdigest()[:12]
        return f"{self.num_lanes} lanes of {layout.window_groups} row groups, layout {sizes}"

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in an epoch: the full batches in the dataset."""
        return self.num_samples // self.batch_size

    @property
    def total_steps(self) -> int:
        """Number of steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def epoch(self, step: int) -> int:
        """Returns the epoch of a step, from 0."""
        return step // self.steps_per_epoch

    def sample_ids(self, step: int) -> NDArray[np.int64]:
        """Returns the sample ids of a step's global batch: int64 ``[batch_size]``.

        Raises:
            IndexError: the run has no such step.
        """
        return self.share(step, 0, 1).sample_ids

    def check_workers(self, num_workers: int) -> None:
        """Checks that the workers can have equal shares of a batch.

        Raises:
            PoiseError: the number of workers does not divide the batch size.
        """
        if self.batch_size % num_workers:
            raise PoiseError(
                f"training.batch_size={self.batch_size} is no multiple of {num_workers} workers, "
                "which need equal shares; set training.num_workers to a divisor of it"
            )

    def share(self, step: int, rank: int, num_workers: int) -> Share:
        """Returns one worker's share of a step.

        The shares of all ranks, in order, make up the global batch.

        Raises:
            IndexError: the run has no such step.
        """
        if not 0 <= step < self.total_steps:
            raise IndexError(f"step {step} is not one of 0 … {self.total_steps - 1}")
        epoch, position = divmod(step, self.steps_per_epoch)
        size, per_lane = self.batch_size // num_workers, self.batch_size // self.num_lanes
        first, stop = position * per_lane, (position + 1) * per_lane
        lanes = range(rank * size // per_lane, -(-(rank + 1) * size // per_lane))
        ids, groups = [], []
        for lane in lanes:
            for window in self._lanes(epoch).windows(lane, first, stop):
                ids.append(window.samples[max(0, first - window.start) : stop - window.start])
                groups.append(window.groups)
        offset = rank * size - lanes.start * per_lane
        return Share(np.concatenate(ids)[offset : offset + size], np.unique(np.concatenate(groups)))


def window_samples(mean_bytes: float) -> int:
    """Computes the number of samples in a window.

    This is the number of samples in 1 GiB, rounded down to a power of two, and at most 65,536.
    Because of the rounding, small changes in the size of files do not change the order.
    """
    held = max(1.0, WINDOW_BYTES / mean_bytes)
    return int(min(MAX_WINDOW_SAMPLES, 2 ** int(np.log2(held))))
