"""Reads a training worker's images of each step, in its own process or in a Ray Data task.

In: a recipe, a rank and the number of workers. Out: the encoded images of any step. Next:
``poise.data.stream.stream`` cuts views from the images. This module does not import PyTorch,
because the import takes seconds and many tasks read images.
"""

import time
from collections.abc import Iterator
from functools import lru_cache

import pyarrow as pa

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.dataset import EncodedBatch, ImageDataset
from poise.data.stream.image_rows import encoded_row, failure_row
from poise.data.stream.plan import Plan

Work = tuple[int, EncodedBatch]
"""Epoch and encoded images of one step."""

Address = tuple[str, int, int]
"""Arguments with which a Ray task opens a reader: recipe as JSON, rank and world size."""


class Reader:
    """Reads one worker's images of any step.

    Between steps, the reader keeps only the row groups that ``Plan.share`` names.
    """

    def __init__(self, recipe: Recipe, rank: int, world_size: int) -> None:
        self.recipe, self.rank, self.world_size = recipe, rank, world_size
        self._dataset = ImageDataset.open(
            recipe.data.dataset, patience_s=recipe.training.storage_patience_s
        )
        self.plan = Plan.of(recipe, self._dataset)
        self.plan.check_workers(world_size)

    def read(self, step: int) -> Work:
        """Returns the epoch of a step, and the encoded images that this worker has in the step."""
        share = self.plan.share(step, self.rank, self.world_size)
        self._dataset.keep_only(share.groups)
        return self.plan.epoch(step), self._dataset.read(share.sample_ids)

    @property
    def mean_bytes(self) -> float:
        """Average size of an encoded image in bytes."""
        return self._dataset.mean_bytes

    @property
    def address(self) -> Address:
        """Arguments with which a Ray task opens this reader in its own process."""
        return self.recipe.model_dump_json(), self.rank, self.world_size


@lru_cache(maxsize=1)  # a process runs many tasks and keeps the row groups that it has read
def _opened(recipe_json: str, rank: int, world_size: int) -> Reader:
    return Reader(Recipe.model_validate_json(recipe_json), rank, world_size)


def encoded_rows(pieces: pa.Table, address: Address) -> Iterator[pa.Table]:
    """Reads the encoded images of training steps. Yields one row per step.

    Ray Data calls this function. An expected error becomes a row, because Ray would hide its
    message in a traceback.
    """
    try:
        reader = _opened(*address)
        for piece in pieces.to_pylist():
            for step in range(piece["start"], piece["stop"]):
                began_s = time.perf_counter()
                epoch, encoded = reader.read(step)
                yield encoded_row(epoch, encoded, time.perf_counter() - began_s)
    except PoiseError as error:
        yield failure_row(str(error))
