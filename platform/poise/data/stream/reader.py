"""Reads a training worker's images of each step, in its own process or in a Ray Data task.

In: a recipe, a rank and the number of workers. Out: the encoded images of any step. Next:
``poise.data.stream.stream`` cuts views from them. Nothing here needs PyTorch, because its import
takes seconds and many tasks read images.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import pyarrow as pa

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.dataset import EncodedBatch, ImageDataset
from poise.data.stream.image_rows import encoded_row, failure_row
from poise.data.stream.plan import Plan

Work = tuple[int, EncodedBatch]
"""Epoch of a step, and the step's encoded images."""

Address = tuple[str, int, int]
"""Recipe as JSON, rank and world size. A Ray task opens a reader with them."""


class Reader:
    """Reads one worker's images of any step."""

    def __init__(self, recipe: Recipe, rank: int, world_size: int) -> None:
        self.recipe, self.rank, self.world_size = recipe, rank, world_size
        self._dataset = ImageDataset.open(recipe.data.dataset)
        self.plan = Plan.of(recipe, self._dataset)

    def read(self, step: int) -> Work:
        """Returns the epoch of a step, and this worker's encoded images of the step."""
        ids = self.plan.worker_ids(step, self.rank, self.world_size)
        return self.plan.epoch(step), self._dataset.read(ids)

    @property
    def mean_bytes(self) -> float:
        """Average number of bytes of an encoded image."""
        return self._dataset.mean_bytes

    @property
    def address(self) -> Address:
        """Arguments with which a Ray task opens this reader in its own process."""
        return self.recipe.model_dump_json(), self.rank, self.world_size


@lru_cache(maxsize=1)  # a process runs many tasks and keeps the row groups that it has read
def _opened(recipe_json: str, rank: int, world_size: int) -> Reader:
    return Reader(Recipe.model_validate_json(recipe_json), rank, world_size)


def encoded_rows(pieces: pa.Table, address: Address) -> Iterator[pa.Table]:
    """Ray Data map from pieces of the plan to encoded images, with one row per step."""
    return rows_of(pieces, address, lambda reader, step: encoded_row(*reader.read(step)))


def rows_of(
    pieces: pa.Table, address: Address, row: Callable[[Reader, int], pa.Table]
) -> Iterator[pa.Table]:
    """Yields a row for each step of the pieces, or one row with an error that the user can fix."""
    try:
        reader = _opened(*address)
        for step in steps_of(pieces):
            yield row(reader, step)
    except PoiseError as error:  # Ray would hide the line in a traceback
        yield failure_row(str(error))


def one_by_one(pieces: pa.Table) -> Iterator[pa.Table]:
    """Ray Data map from pieces of the plan to pieces of one step."""
    for step in steps_of(pieces):
        yield pa.table({"start": [step], "stop": [step + 1]})


def steps_of(pieces: pa.Table) -> Iterator[int]:
    """Yields the steps of pieces of the plan."""
    for piece in pieces.to_pylist():
        yield from range(piece["start"], piece["stop"])
