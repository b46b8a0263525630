"""Training loop."""

import math
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from poise.cluster.collectives import sum_over_workers
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.manifest import Manifest
from poise.data.views.normalization import normalization
from poise.data.views.photometry import Photometry
from poise.diagnostics.observe import diagnose
from poise.diagnostics.parameters import ema_gap, gradient_norms, update_size
from poise.diagnostics.prototypes import AssignmentWindow
from poise.models.flops import forward_flops
from poise.objectives import build_objective
from poise.objectives.base import Objective, RunPosition, StepResult
from poise.training.observer import FinishedStep
from poise.training.optimizer import build_optimizer, clip_gradients, schedules, set_schedules
from poise.training.precision import autocast
from poise.training.schedule import Timetable


@dataclass
class TrainingState:
    """State of a run: everything in a checkpoint except the recipe."""

    objective: Objective
    optimizer: Optimizer
    step: int = 0
    """Number of finished optimiser steps. It is also the position in the plan."""

    window: AssignmentWindow = field(default_factory=AssignmentWindow)
    """Teacher's assignments at earlier logged steps, for diagnostics."""


def train_steps(
    timetable: Timetable,
    state: TrainingState,
    batches: Iterable[ViewBatch],
    model: nn.Module | None = None,
    rank: int = 0,
) -> Generator[FinishedStep]:
    """Trains on ``batches`` and yields a report after every step.

    Args:
        timetable: decides when metrics are read; its recipe decides optimiser, precision and seed.
        state: state of the run; it is changed in place, on its device.
        batches: this worker's share of each batch, beginning with step ``state.step``.
        model: objective in its wrapper (DistributedDataParallel), if it has one.
        rank: rank of this worker, from 0.
    """
    recipe, objective = timetable.recipe, state.objective
    device = next(objective.parameters()).device
    meter = _Meter()
    for batch in meter.timed(batches):
        position = timetable.position(state.step)
        curves = schedules(recipe, position) | objective.schedules(position)
        set_schedules(state.optimizer, curves)
        _seed_step(recipe.seed, state.step, rank)
        is_observed = timetable.is_boundary(state.step + 1)
        result, scalars = _train_step(
            recipe, state, model or objective, batch.to(device), position, is_observed
        )
        state.step += 1
        meter.count(len(batch), {"loss/total": result.loss.detach(), **result.metrics})
        metrics: dict[str, float] = {}
        if is_observed:
            metrics = meter.read() | curves
            if state.step > 1:  # the first step includes start-up times
                metrics |= meter.read_speed()
            metrics |= _diagnose(state, scalars, recipe)
        yield FinishedStep(
            step=state.step,
            epoch=state.step / position.steps_per_epoch,
            images_seen=state.step * recipe.training.batch_size,
            metrics=metrics,
        )
        if metrics:
            meter.restart()  # the caller's work at a logged step is not training time


def _train_step(
    recipe: Recipe,
    state: TrainingState,
    model: nn.Module,
    batch: ViewBatch,
    position: RunPosition,
    is_observed: bool,
) -> tuple[StepResult, dict[str, Tensor]]:
    """Carries out one optimiser step.

    Returns:
        The step's result, and scalars that exist only during the step: the gradients' norms before
        clipping and the distance that the teacher moved. If ``is_observed`` is false, only the norm
        of all gradients is returned.
    """
    objective, optimizer = state.objective, state.optimizer
    with autocast(recipe.training, batch.sample_ids.device):
        result: StepResult = model(batch, position)
    optimizer.zero_grad()
    result.loss.backward()
    scalars = gradient_norms(objective.trainable) if is_observed else {}
    scalars["gradient/norm"] = clip_gradients(objective.trainable.parameters(), recipe.optimizer)
    objective.before_optimizer(position)
    optimizer.step()
    teacher = [*objective.reference.parameters()] if objective.reference and is_observed else []
    before = [parameter.detach().clone() for parameter in teacher]
    objective.after_step(position)
    if teacher:
        scalars["teacher/update_size"] = update_size(before, teacher)
    return result, scalars


def is_diverged(report: FinishedStep) -> bool:
    """Returns True if the loss of this step is not finite.

    The answer is the same on every worker.
    """
    return is_lost(report.metrics)


def is_lost(metrics: Mapping[str, float]) -> bool:
    """Returns True if these metrics have a loss that is not finite."""
    return not math.isfinite(metrics.get("loss/total", 0.0))


def _seed_step(seed: int, step: int, rank: int) -> None:
    """Seeds the random numbers within a step (stochastic depth) from the run's seed and the step.

    So a resumed run draws the same numbers, and no random state has to be saved.
    """
    torch.manual_seed(hash((seed, step, rank)) % 2**63)  # hashes of ints are always the same


def _diagnose(state: TrainingState, scalars: dict[str, Tensor], recipe: Recipe) -> dict[str, float]:
    objective, scalars = state.objective, dict(scalars)
    if objective.reference is not None:
        scalars["teacher/ema_gap"] = ema_gap(
            objective.trainable.parameters(), objective.reference.parameters()
        )
    return dict(diagnose(objective.observe(), scalars, state.window)) | _cost(state, recipe)


def _cost(state: TrainingState, recipe: Recipe) -> dict[str, float]:
    """The operations of the backbone for one global view, if it is a transformer."""
    flops = forward_flops(state.objective.backbone, recipe.data.views.global_px)
    return {} if flops is None else {"throughput/backbone_gflops": flops / 1e9}


@dataclass
class _Meter:
    """Means over an interval. It waits for the device only when they are read."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    images: int = 0
    num_workers: float = 1
    waited_s: float = 0.0
    started_s: float = field(default_factory=time.perf_counter)

    def timed(self, batches: Iterable[ViewBatch]) -> Iterator[ViewBatch]:
        """Yields the batches, and adds up the time spent waiting for them."""
        iterator = iter(batches)
        while True:
            asked_s = time.perf_counter()
            batch = next(iterator, None)
            self.waited_s += time.perf_counter() - asked_s
            if batch is None:
                return
            yield batch

    def count(self, images: int, values: dict[str, Tensor]) -> None:
        self.steps += 1
        self.images += images
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def read(self) -> dict[str, float]:
        """Computes means since the last restart, over all workers. Waits for the device."""
        one = next(iter(self.sums.values())).new_ones(())
        reduced = sum_over_workers(torch.stack([*self.sums.values(), one]).double()).tolist()
        self.num_workers = reduced.pop()
        return {
            name: value / (self.num_workers * self.steps)
            for name, value in zip(self.sums, reduced, strict=True)
        }

    def read_speed(self) -> dict[str, float]:
        """Computes the speed since the last restart.

        Call it after ``read``, which waits for the device.
        """
        elapsed_s = time.perf_counter() - self.started_s
        return {
            "throughput/s_per_step": elapsed_s / self.steps,
            "throughput/images_per_s": self.num_workers * self.images / elapsed_s,
            "throughput/data_wait_share": self.waited_s / elapsed_s,
        }

    def restart(self) -> None:
        """Begins the next interval."""
        self.sums, self.steps, self.images = {}, 0, 0
        self.waited_s, self.started_s = 0.0, time.perf_counter()


def new_state(recipe: Recipe, device: torch.device) -> TrainingState:
    """Makes the state of a run at step 0. The same seed gives the same weights."""
    torch.manual_seed(recipe.seed)
    manifest = Manifest.read(recipe.data.dataset)
    mean, std = normalization(recipe.data.views, manifest)
    objective = build_objective(recipe, Photometry(recipe.data.views, mean, std)).to(device)
    groups = objective.parameter_groups()
    return TrainingState(objective, build_optimizer(recipe.optimizer, objective.trainable, groups))
