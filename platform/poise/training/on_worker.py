"""Runs all of a training run on one worker, with or without Ray Train.

In: a ``RunSpec`` and the worker's ``Place``. Out: reports and checkpoints, sent by the place's
function. Next: ``poise.training.worker`` makes places on Ray Train, ``poise.training.in_process``
makes a place in its own process.
"""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from poise.data.batch import ViewBatch
from poise.data.stream.ahead import Started
from poise.data.stream.stream import view_stream
from poise.training.checkpoint import load_checkpoint, read_run
from poise.training.initial_weights import begin_with
from poise.training.logging_and_checkpoints import ToController, Watch
from poise.training.loop import new_state, train_steps
from poise.training.parallel import spread
from poise.training.schedule import timetable_of
from poise.training.spec import RunSpec


@dataclass(frozen=True)
class Place:
    """A worker's device and rank, and its function for reports to the run's controller."""

    device: torch.device
    report: ToController
    rank: int = 0
    world_size: int = 1


def train_on_worker(spec: RunSpec, place: Place, newest: Path | None) -> None:
    """Trains this worker's share of a run to the run's end.

    Args:
        spec: task of the run.
        place: device and rank of this worker.
        newest: newest checkpoint of this run, to continue from; None if there is none.
    """
    recipe, device = spec.recipe, place.device
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(recipe.training.cpus_per_worker)))
    else:
        torch.cuda.set_device(device)
    begun_from = newest or (spec.start_from.checkpoint if spec.start_from is not None else None)
    first_step = 0 if begun_from is None else int(read_run(begun_from)["step"])
    stream = view_stream(recipe, place.rank, place.world_size, start_step=first_step)
    with closing(Started(stream)) as batches:  # it starts while the model is built
        state = new_state(recipe, device)
        changed = spec.start_from.changed if spec.start_from is not None else ()
        history = load_checkpoint(begun_from, state, recipe, changed) if begun_from else []
        if begun_from is None and spec.initial_weights is not None:
            begin_with(state.objective, spec.initial_weights)
        is_first = place.rank == 0
        watch = Watch(spec, state, timetable_of(recipe), history, device, is_first, place.report)
        # The history may come from another run that this run started from. It is judged only
        # after own steps. At an interruption at the very end, such steps exist.
        if newest is None or not watch.has_ended():  # it has where it was interrupted at its end
            _train(watch, batches, place)


def _train(watch: Watch, batches: Iterable[ViewBatch], place: Place) -> None:
    state = watch.state
    if watch.spec.recipe.training.compile:
        state.objective.compile_backbones()
    model = spread(state.objective, place.world_size)
    reports = train_steps(watch.timetable, state, batches, model, place.rank)
    with watch, closing(reports):
        watch.log_start()
        for report in reports:
            if report.metrics and watch.at_boundary(report):
                break
