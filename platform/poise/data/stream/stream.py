"""Streams views: reads images in the order of the plan, and cuts views before training.

In: a recipe. Out: one ``ViewBatch`` per step with this worker's share of the step. Next: the
training loop.

One execution of Ray Data lasts for all epochs, because starting an execution takes seconds. Its
input is the plan. Tasks turn steps into encoded images, one after the other. These tasks reserve no
CPU, because training may have reserved all CPUs. Views are cut in processes of the training worker
(``placement: worker``), by tasks on any node (``cluster``) or by tasks on nodes without a GPU
(``cpu_nodes``). Each task that cuts views reserves one CPU.
"""

import itertools
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import torch

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.stream.cutting_pool import cut_ahead
from poise.data.stream.image_rows import (
    CUT_S,
    READ_S,
    failure_row,
    read_encoded,
    seconds_of,
)
from poise.data.stream.reader import Reader, Work, encoded_rows
from poise.data.stream.stage_times import StageTimes
from poise.data.stream.view_rows import read_views, views_row
from poise.data.views.cutter import ViewCutter

if TYPE_CHECKING:
    import ray.data

_BLOCK_BYTES = 16 * 2**20  # size of a block that is sent: many small images, or two steps of photos
_PIECE_BYTES = 4 * _BLOCK_BYTES  # of images that one task reads; if it is lost, it is repeated
NODE_ID_LABEL = "ray.io/node-id"  # every node of Ray has this label
_MOST_PIECES = 256  # each piece costs some milliseconds before the first step


def view_stream(
    recipe: Recipe,
    rank: int,
    world_size: int,
    start_step: int = 0,
    source: Literal["ray", "local"] = "ray",
    times: StageTimes | None = None,
) -> Generator[ViewBatch]:
    """Yields this worker's views for every step from ``start_step`` to the end of the run.

    The views of a step depend only on recipe, step, rank and world size. They do not depend on
    ``source``, on ``start_step`` or on the place where views are cut. Closing the iterator ends the
    processes and tasks that it started.

    Args:
        recipe: recipe of the run; ``recipe.training.batch_size`` is the number of images per step
            over all workers.
        rank: rank of this worker, from 0.
        world_size: number of workers.
        start_step: first step of the stream.
        source: ``ray`` streams through Ray Data; ``local`` reads in this process without Ray.
        times: object that receives the times of reading and cutting.

    Raises:
        PoiseError: the dataset is missing, damaged or smaller than a batch, or the workers cannot
            have equal shares of a batch.
    """
    reader = Reader(
        recipe, rank, world_size
    )  # not in the generator, so that wrong input is reported before the first step
    steps = range(start_step, max(start_step, reader.plan.total_steps))
    pin_memory = recipe.training.device != "cpu" and torch.cuda.is_available()
    times = times or StageTimes()
    times.cutters = max(1, recipe.data.cut_processes)
    if source == "ray" and recipe.data.placement != "worker":
        return _cut_by_ray(reader, steps, pin_memory, times)
    read = _read_by_ray if source == "ray" else _read_here
    return cut_ahead(recipe, times.waiting(read(reader, steps, times)), pin_memory, times)


def _views_rows(rows: pa.Table, recipe_json: str) -> Iterator[pa.Table]:
    """Cuts views from rows of encoded images, with one row per step.

    Ray Data calls this function.
    """
    torch.set_num_threads(1)  # several such tasks run on a machine
    recipe = Recipe.model_validate_json(recipe_json)
    cutter = ViewCutter(recipe.data.views, recipe.seed)
    try:
        for number in range(len(rows)):
            row = rows.slice(number, 1)
            epoch, encoded = read_encoded(row)
            began_s = time.perf_counter()
            batch = cutter(encoded, epoch)
            cut_s = time.perf_counter() - began_s
            yield views_row(batch, {READ_S: seconds_of(row, READ_S), CUT_S: cut_s})
    except PoiseError as error:  # Ray would hide the line in a traceback
        yield failure_row(str(error))


def _encoded(reader: Reader, steps: range, block_bytes: int) -> "ray.data.Dataset":
    """Reads one step after the other in one task, so that the process can keep its row groups."""
    images = len(steps) * reader.recipe.worker_batch_size
    pieces = math.ceil(images * reader.mean_bytes / _PIECE_BYTES)
    plan = _plan_dataset(steps, pieces, block_bytes)
    arguments = {"address": reader.address}
    return _mapped(plan, encoded_rows, arguments, _Claim(1, 0, _where(reader.recipe)))


def _read_here(reader: Reader, steps: range, times: StageTimes) -> Iterator[Work]:
    for step in steps:
        began_s = time.perf_counter()
        epoch, encoded = reader.read(step)
        times.read(len(encoded.images), time.perf_counter() - began_s)
        yield epoch, encoded


def _read_by_ray(reader: Reader, steps: range, times: StageTimes) -> Iterator[Work]:
    for row in _iterated(_encoded(reader, steps, _BLOCK_BYTES)):
        epoch, encoded = read_encoded(row)
        times.read(len(encoded.images), seconds_of(row, READ_S))
        yield epoch, encoded


def _cut_by_ray(
    reader: Reader, steps: range, pin_memory: bool, times: StageTimes
) -> Generator[ViewBatch]:
    recipe = reader.recipe
    rows = _mapped(
        _encoded(reader, steps, block_bytes=1),  # each row is a block, which one task cuts
        _views_rows,
        {"recipe_json": recipe.model_dump_json()},
        _Claim(times.cutters, 1, _where(recipe)),
    )
    for row in _iterated(rows):
        batch = read_views(row)
        times.read(len(batch), seconds_of(row, READ_S))
        times.cut(len(batch), seconds_of(row, CUT_S))
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


@dataclass(frozen=True)
class _Claim:
    """Number of tasks, CPUs and nodes that one stage of data loading (reading or cutting) needs."""

    concurrency: int
    num_cpus: float  # of each task
    place: dict[str, Any]  # Ray's arguments for the nodes


def _mapped(
    dataset: "ray.data.Dataset",
    function: Callable[..., Iterator[pa.Table]],
    arguments: dict[str, Any],
    claim: _Claim,
) -> "ray.data.Dataset":
    import ray.data

    return dataset.map_batches(
        function,
        fn_kwargs=arguments,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.TaskPoolStrategy(size=claim.concurrency),
        num_cpus=claim.num_cpus,
        **claim.place,
    )


def _where(recipe: Recipe) -> dict[str, Any]:
    """Returns Ray's arguments for the nodes that read images and cut views."""
    if recipe.data.placement != "cpu_nodes":
        return {}
    from poise.cluster.nodes import is_cpu_node, live_nodes

    others = [node.id for node in live_nodes() if not is_cpu_node(node)]
    # Nodes that join later are allowed, so the others are named.
    return {"label_selector": {NODE_ID_LABEL: f"!in({','.join(others)})"}} if others else {}


def _iterated(rows: "ray.data.Dataset") -> Iterator[pa.Table]:
    return iter(rows.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=2))
