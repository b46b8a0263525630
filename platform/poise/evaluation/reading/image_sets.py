"""Defines the interface of image sets that are passed through a backbone.

In: nothing. Out: ``ImageSet``, which ``EvaluationImages`` and ``NativeImages`` implement. Next:
``poise.evaluation.reading.inference``.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from poise.config.locations import Location

Batch = tuple[Tensor, Tensor]
"""Images uint8 [b, 3, h, w] of one size, and one value per image, [b, …].

The value is the image's label or its size in the dataset.
"""


class ImageSet(Protocol):
    """Images of a dataset, in the order of their sample ids."""

    sample_ids: NDArray[np.int64]
    """Ids of the images, ascending."""

    @property
    def folder(self) -> Location:
        """Folder of the dataset."""

    @property
    def opener(self) -> "Callable[[], ImageSet]":
        """Function that opens the whole dataset in another process, with the same settings."""

    def __len__(self) -> int: ...

    def only(self, positions: NDArray[np.int64]) -> "ImageSet":
        """Returns the images at some positions, which are in ascending order."""

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yields the batches in order. A few threads decode the next batches in advance."""

    def pieces(self, batch_size: int) -> Iterator[Callable[[], Batch]]:
        """Yields one function per batch that prepares the batch.

        Call each function once, in any thread.
        """
