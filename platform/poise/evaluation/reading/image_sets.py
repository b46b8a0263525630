"""Interface of sets of images that a pass reads.

In: nothing. Out: ``ImageSet``, which ``EvaluationImages`` and ``NativeImages`` implement. Next:
``poise.evaluation.reading.bench``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Batch = tuple[Tensor, Tensor]
"""Images uint8 [b, 3, h, w] of one size, and a value for each [b, …]: its label, or its size in the
dataset.
"""


class ImageSet(Protocol):
    """Images of a dataset, in the order of their sample ids."""

    sample_ids: NDArray[np.int64]
    """Ids of the images, ascending."""

    @property
    def folder(self) -> Path:
        """Folder of the dataset."""

    @property
    def opener(self) -> "Callable[[], ImageSet]":
        """Function that opens the whole dataset in another process, prepared in the same way."""

    def __len__(self) -> int: ...

    def only(self, positions: NDArray[np.int64]) -> "ImageSet":
        """Returns only the images at some positions, which are in ascending order."""

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Yields the images in order. A few threads decode the next images in advance."""

    def pieces(self, batch_size: int) -> Iterator[Callable[[], Batch]]:
        """Yields a function for each batch that prepares it. Call it once, in any thread."""
