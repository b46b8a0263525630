"""Carries out one worker's part of a training run, with or without Ray Train.

In: a ``RunSpec`` and a ``Place`` (the worker's device and rank). Out: reports and checkpoints, sent
with ``Place.report``. Next: ``poise.training.worker`` and ``poise.training.in_process``, which call
this module with and without Ray Train.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch

from poise.config import Recipe
from poise.config.locations import Location
from poise.config.outages import is_outage, patiently
from poise.data.batch import ViewBatch
from poise.data.stream.prefetch_first import Started
from poise.data.stream.stage_times import StageTimes
from poise.data.stream.stream import view_stream
from poise.diagnostics.history import Entry
from poise.training.checkpoint import load_checkpoint, read_run
from poise.training.elastic import Attempt, begun, with_workers
from poise.training.initial_weights import begin_with
from poise.training.logging_and_checkpoints import ToController, Watch
from poise.training.loop import CPU, TrainingState, new_state, train_steps
from poise.training.memory_errors import memory_errors_explained
from poise.training.parallel import spread
from poise.training.schedule import timetable_of
from poise.training.spec import RunSpec
from poise.training.stop_agreement import SharedNotice
from poise.training.stop_request import HERE
from poise.training.watchdog import SignsOfLife, Stuck, Watchdog


@dataclass(frozen=True)
class Place:
    """A worker's device and rank, and its functions to communicate with the controlling process."""

    device: torch.device
    report: ToController
    rank: int = 0
    world_size: int = 1
    source: Literal["ray", "local"] = "ray"
    """Reader of the images: ``ray`` means tasks of Ray, ``local`` this process."""

    nodes: tuple[str, ...] = ()
    """Ids of the running nodes. They are known only on rank 0, with Ray Train."""

    node_leaves: Callable[[], str | None] = lambda: None
    """Function that returns the reason if a node of this run will be taken away, else None. All
    workers must call it at the same time.
    """

    hangs: Callable[[Stuck], None] | None = None
    """Function that ends the run if this worker makes no progress; None switches the check off."""

    signs: SignsOfLife = field(default_factory=SignsOfLife)
    """Signs of life during evaluations and uploads. ``report`` adds to them, too."""


def train_on_worker(spec: RunSpec, place: Place, newest: Location | None) -> str | None:
    """Trains this worker's share of a run, until the run ends or the machine is taken away.

    Args:
        spec: description of the run.
        place: device and rank of this worker.
        newest: newest checkpoint of this run, to continue from; None if there is none.

    Returns:
        The reason if the machine is taken away (a checkpoint is saved then); None at the run's end.

    Raises:
        DeviceMemoryError: the device's memory is full.
    """
    with memory_errors_explained(spec.recipe, place.device, place.rank):
        return _carry_out(spec, place, newest)


def _carry_out(spec: RunSpec, place: Place, newest: Location | None) -> str | None:
    recipe, device = with_workers(spec.recipe, place.world_size), place.device
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(recipe.training.cpus_per_worker)))
    else:
        torch.cuda.set_device(device)
    begun_from = newest or (spec.start_from.checkpoint if spec.start_from is not None else None)
    first_step = _first_step(spec, begun_from)
    times = StageTimes()
    stream = view_stream(recipe, place.rank, place.world_size, first_step, place.source, times)
    dog = _watchdog(recipe.training.hang_timeout_minutes, place)
    # Data loading starts while the model is built.
    with dog, closing(Started(stream)) as batches:
        state, history = _start(spec, recipe, place, newest, begun_from)
        # If this run started from another run's checkpoint, that run's attempts do not count.
        earlier = state.attempts if newest is not None else []
        state.attempts = begun(earlier, Attempt(state.step, place.world_size, place.nodes))
        is_first = place.rank == 0
        watch = Watch(
            spec, state, timetable_of(recipe), history, device, is_first, place.report,
            signs=place.signs,
        )  # fmt: skip
        # If this run started from another run's checkpoint, the history is that run's. A verdict
        # on this run needs steps of its own, and a resumed run has such steps.
        is_over = newest is not None and watch.has_ended()  # interrupted after the last step
        return None if is_over else _train(watch, batches, place, times, dog)


def _first_step(spec: RunSpec, begun_from: Location | None) -> int:
    if begun_from is None:
        return 0
    read = partial(read_run, begun_from)
    return int(patiently(read, f"reading {begun_from}", spec.patience_s, is_outage)["step"])


def _start(
    spec: RunSpec,
    recipe: Recipe,
    place: Place,
    newest: Location | None,
    begun_from: Location | None,
) -> tuple[TrainingState, list[Entry]]:
    """Makes the state and history of a new run, or restores them from a checkpoint.

    If the storage of the checkpoint or the dataset fails, this is repeated for some time.
    """
    what = f"run {spec.name}: reading its start"

    def whole(device: torch.device) -> tuple[TrainingState, list[Entry]]:
        make = partial(_whole_start, spec, recipe, device, newest, begun_from)
        return patiently(make, what, spec.patience_s, is_outage)

    if recipe.training.sharding == "none" or place.world_size == 1:
        return whole(place.device)
    from poise.training.sharded_state import scattered

    # Only one machine needs memory for the whole state, and only one reads the checkpoint.
    first = place.rank == 0
    start = whole(CPU) if first else None
    state, history = scattered(start, recipe, place.device)
    state.meter.load_state_dict(
        state.meter.state_dict(), place.device
    )  # the state was sent over the CPU
    return state, history


def _whole_start(
    spec: RunSpec,
    recipe: Recipe,
    device: torch.device,
    newest: Location | None,
    begun_from: Location | None,
) -> tuple[TrainingState, list[Entry]]:
    state = new_state(recipe, device)
    # Its own checkpoints must fit as they are; only another run's checkpoint may differ.
    changed = spec.start_from.changed if spec.start_from and newest is None else ()
    history = load_checkpoint(begun_from, state, recipe, changed) if begun_from else []
    if begun_from is None and spec.initial_weights is not None:
        begin_with(state.objective, spec.initial_weights)
    return state, history


def _train(
    watch: Watch, batches: Iterable[ViewBatch], place: Place, times: StageTimes, dog: Watchdog
) -> str | None:
    state = watch.state
    if watch.spec.recipe.training.compile:
        state.objective.compile_backbones()
    model = spread(state.objective, place.world_size)
    with HERE.heard() as here, watch:
        notice = SharedNotice(place.node_leaves, place.rank, place.world_size, here)
        watch.log_start()
        seen = dog.beating(batches, state.step)
        with closing(
            train_steps(watch.timetable, state, seen, model, place.rank, times)
        ) as reports:
            for report in reports:
                dog.beat(f"what follows step {report.step}")
                if report.metrics and watch.at_boundary(report):
                    return None
                reason = notice.after_step()
                if reason is not None:
                    watch.take_back(report.step, reason)
                    return reason
    return None


def _watchdog(minutes: float | None, place: Place) -> Watchdog:
    if minutes is None or place.hangs is None:
        return Watchdog(None, lambda _: None)
    return Watchdog(60 * minutes, place.hangs, place.rank, place.signs)
