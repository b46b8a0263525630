"""Stream of views: images are read in the order of the plan, and views are cut before training.

In: a recipe. Out: one ``ViewBatch`` per step, which is this worker's share. Next: the training
loop.

One execution of Ray Data spans all epochs, because starting one takes seconds. Its source is the
plan. Tasks turn steps into encoded images, in order. These tasks claim no CPU, because training may
have reserved all CPUs. Views are cut in processes of the training worker (``placement: worker``) or
by tasks on any node, which read and cut (``placement: cluster``). The latter claim one CPU each.
"""

import itertools
import logging
import math
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import torch

from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.stream.cutting_pool import cut_ahead
from poise.data.stream.image_rows import read_encoded
from poise.data.stream.reader import Address, Reader, Work, encoded_rows, one_by_one, rows_of
from poise.data.stream.view_rows import read_views, views_row
from poise.data.views.cutter import ViewCutter

if TYPE_CHECKING:
    import ray.data

_BLOCK_BYTES = 16 * 2**20  # size of a block that is sent: many small images, or two steps of photos
_PIECE_BYTES = 4 * _BLOCK_BYTES  # of images that one task reads; if it is lost, it is repeated
_MOST_PIECES = 256  # each piece costs some milliseconds before the first step


def view_stream(
    recipe: Recipe,
    rank: int,
    world_size: int,
    start_step: int = 0,
    source: Literal["ray", "local"] = "ray",
) -> Generator[ViewBatch]:
    """Yields this worker's views for every step from ``start_step`` to the end of the run.

    Only (recipe, step, rank, world size) decide the views of a step. ``source``, the place where
    views are cut, and the first step of the stream have no influence. Closing the iterator ends the
    processes and tasks that it started.

    Args:
        recipe: recipe of the run; ``recipe.training.batch_size`` is the number of images per step
            over all workers.
        rank: rank of this worker, from 0.
        world_size: number of workers.
        start_step: first step of the stream.
        source: ``ray`` streams through Ray Data; ``local`` reads in this process without Ray.

    Raises:
        PoiseError: the dataset is missing, damaged or smaller than a batch.
    """
    reader = Reader(
        recipe, rank, world_size
    )  # not in the generator, so that wrong input is reported before the first step
    steps = range(start_step, max(start_step, reader.plan.total_steps))
    pin_memory = recipe.training.device != "cpu" and torch.cuda.is_available()
    if source == "ray" and recipe.data.placement == "cluster":
        return _cut_by_ray(reader, steps, pin_memory)
    work = _read_by_ray(reader, steps) if source == "ray" else map(reader.read, steps)
    return cut_ahead(recipe, work, pin_memory)


def _views_rows(pieces: pa.Table, address: Address) -> Iterator[pa.Table]:
    """Ray Data map from pieces of the plan to this worker's views, with one row per step."""
    torch.set_num_threads(1)  # several such tasks run on a machine
    recipe = Recipe.model_validate_json(address[0])
    cutter = ViewCutter(recipe.data.views, recipe.seed)

    def cut(reader: Reader, step: int) -> pa.Table:
        epoch, encoded = reader.read(step)
        return views_row(cutter(encoded, epoch))

    return rows_of(pieces, address, cut)


def _read_by_ray(reader: Reader, steps: range) -> Iterator[Work]:
    images = len(steps) * reader.recipe.worker_batch_size
    pieces = math.ceil(images * reader.mean_bytes / _PIECE_BYTES)
    plan = _plan_dataset(steps, pieces, _BLOCK_BYTES)
    rows = _mapped(plan, encoded_rows, concurrency=1, num_cpus=0, address=reader.address)
    yield from map(read_encoded, _iterated(rows))


def _cut_by_ray(reader: Reader, steps: range, pin_memory: bool) -> Generator[ViewBatch]:
    plan = _plan_dataset(
        steps, _MOST_PIECES, block_bytes=1
    )  # each row is a block, which one task cuts
    single = _mapped(plan, one_by_one, concurrency=1, num_cpus=0)
    processes = max(1, reader.recipe.data.cut_processes)
    rows = _mapped(single, _views_rows, concurrency=processes, num_cpus=1, address=reader.address)
    for batch in map(read_views, _iterated(rows)):
        yield batch.pin_memory() if pin_memory else batch


def _plan_dataset(steps: range, pieces: int, block_bytes: int) -> "ray.data.Dataset":
    import ray.data

    for noisy in ("ray.data", "ray.data._internal.progress"):
        logging.getLogger(noisy).setLevel(logging.ERROR)  # Poise shows its own progress
    pieces = min(pieces, _MOST_PIECES, len(steps))
    bounds = np.linspace(steps.start, steps.stop, pieces + 1).astype(int)
    rows = [{"start": int(a), "stop": int(b)} for a, b in itertools.pairwise(bounds)]
    # `from_items` is used because `from_arrow` starts tasks that wait for a free CPU.
    plan = ray.data.from_items(rows, override_num_blocks=max(1, len(rows)))
    plan.context.enable_progress_bars = False
    plan.context.print_on_execution_start = False
    plan.context.target_max_block_size = block_bytes
    plan.context.execution_options.preserve_order = True
    return plan


def _mapped(
    dataset: "ray.data.Dataset",
    function: Callable[..., Iterator[pa.Table]],
    concurrency: int,
    num_cpus: float,
    **arguments: Any,
) -> "ray.data.Dataset":
    import ray.data

    return dataset.map_batches(
        function,
        fn_kwargs=arguments,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.TaskPoolStrategy(size=concurrency),
        num_cpus=num_cpus,
    )


def _iterated(rows: "ray.data.Dataset") -> Iterator[pa.Table]:
    return iter(rows.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=2))
