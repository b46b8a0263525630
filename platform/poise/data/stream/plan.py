"""Computes the samples of every step. The order is never stored.

In: a dataset's layout, a batch size, a seed. Out: the sample ids of any step, without computing the
steps before it. Next: ``poise.data.stream.stream`` reads the samples.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.dataset import ImageDataset, group_sizes
from poise.data.draws import uniforms

WINDOW_BYTES = 2**30
MAX_WINDOW_SAMPLES = 2**16
_GROUP_ORDER, _SAMPLE_ORDER = -1, -2  # take the place of a view in addresses of random numbers


class Plan:
    """Order of samples over a whole run. Only seed, epoch and layout decide it.

    Every epoch puts the row groups in a new order, divides this order into windows, and shuffles
    the samples of each window. A reader keeps the row groups of one window in memory, so it reads
    each group only once. If the dataset fits into one window, it is shuffled as a whole. Samples
    that do not fill the last batch are left out; these differ between epochs.
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
            batch_size: samples of a step, over all workers.
            epochs: number of passes over the dataset.
            seed: seed of the run.
            window_samples: largest number of samples that are shuffled together.

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
        self._sizes, self._seed = sizes, seed
        self._starts = np.cumsum(sizes) - sizes
        self._groups_per_window = max(1, window_samples // int(sizes.max()))
        # Neighbouring steps need the same window, and a step may need two windows.
        self._window = lru_cache(maxsize=3)(self._shuffled_window)
        self._layout = lru_cache(maxsize=2)(self._epoch_layout)

    @classmethod
    def of(cls, recipe: Recipe, dataset: ImageDataset) -> "Plan":
        """Makes the plan of a recipe's run over its dataset."""
        training = recipe.training
        return cls(
            group_sizes(dataset.manifest),
            training.batch_size,
            training.epochs,
            recipe.seed,
            window_samples(dataset.mean_bytes),
        )

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches in the dataset."""
        return self.num_samples // self.batch_size

    @property
    def total_steps(self) -> int:
        """Number of steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def epoch(self, step: int) -> int:
        """Returns the epoch of a step, from 0."""
        return step // self.steps_per_epoch

    def sample_ids(self, step: int) -> NDArray[np.int64]:
        """Returns the global batch of a step: int64 ``[batch_size]``.

        Raises:
            IndexError: the run has no such step.
        """
        if not 0 <= step < self.total_steps:
            raise IndexError(f"step {step} is not one of 0 … {self.total_steps - 1}")
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch_size
        return self._order(epoch, start, start + self.batch_size)

    def worker_ids(self, step: int, rank: int, world_size: int) -> NDArray[np.int64]:
        """Returns one worker's share of a step.

        The shares of all ranks, in order, are the global batch.
        """
        share = self.batch_size // world_size
        return self.sample_ids(step)[rank * share : (rank + 1) * share]

    def _order(self, epoch: int, start: int, stop: int) -> NDArray[np.int64]:
        """Returns the sample ids at the positions ``start`` to ``stop`` of an epoch's order."""
        _, ends = self._layout(epoch)
        first, last = np.searchsorted(ends, [start, stop - 1], side="right")
        samples = np.concatenate([self._window(epoch, w) for w in range(first, last + 1)])
        offset = start - (int(ends[first - 1]) if first else 0)
        return samples[offset : offset + stop - start]

    def _epoch_layout(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the epoch's order of row groups, and the end of each window in samples."""
        keys = uniforms(self._seed, epoch, np.arange(len(self._sizes)), _GROUP_ORDER, 1)[:, 0]
        order = np.argsort(keys, kind="stable")
        firsts = np.arange(0, len(order), self._groups_per_window)
        return order, np.cumsum(np.add.reduceat(self._sizes[order], firsts))

    def _shuffled_window(self, epoch: int, window: int) -> NDArray[np.int64]:
        """Returns the shuffled sample ids of a window."""
        order, _ = self._layout(epoch)
        first = window * self._groups_per_window
        groups = np.sort(order[first : first + self._groups_per_window])
        samples = np.concatenate(
            [np.arange(self._sizes[group]) + self._starts[group] for group in groups]
        )
        keys = uniforms(self._seed, epoch, samples, _SAMPLE_ORDER, 1)[:, 0]
        return samples[np.argsort(keys, kind="stable")]


def window_samples(mean_bytes: float) -> int:
    """Computes the number of samples in a window.

    It is the number that fits into 1 GiB, rounded down to a power of two, and at most 65,536.
    Because of the rounding, a few more or fewer bytes in a file do not change the order.
    """
    held = max(1.0, WINDOW_BYTES / mean_bytes)
    return int(min(MAX_WINDOW_SAMPLES, 2 ** int(np.log2(held))))
