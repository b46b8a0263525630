"""Training loop."""

import math
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from poise.cluster.collectives import sum_over_workers
from poise.cluster.sharded_tensors import parts_here
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.manifest import Manifest
from poise.data.stream.stage_times import StageTimes
from poise.data.views.color_augmentation import Photometry
from poise.data.views.normalization import normalization
from poise.diagnostics.batch_statistics import BatchStatistics
from poise.diagnostics.observe import diagnose
from poise.diagnostics.parameters import ema_gap, gradient_norms, update_size
from poise.diagnostics.prototypes import AssignmentWindow
from poise.models.activation_checkpointing import checkpoint_activations
from poise.models.flops import forward_flops
from poise.objectives import build_objective
from poise.objectives.base import Objective, RunPosition, StepResult
from poise.training.accumulation import accumulate_gradients
from poise.training.elastic import Attempt
from poise.training.interval_metrics import Meter
from poise.training.observer import FinishedStep
from poise.training.optimizer import build_optimizer, clip_gradients, schedules, set_schedules
from poise.training.parallel import outer_weights
from poise.training.schedule import Timetable

CPU = torch.device("cpu")


@dataclass
class TrainingState:
    """State of a run: everything in a checkpoint except the recipe."""

    objective: Objective
    optimizer: Optimizer
    step: int = 0
    """Number of finished optimiser steps. It is also the position in the order of batches."""

    window: AssignmentWindow = field(default_factory=AssignmentWindow)
    """Teacher's assignments at earlier logged steps, for diagnostics."""

    meter: Meter = field(default_factory=Meter)
    """Sums of metrics since the last logged step."""

    attempts: list[Attempt] = field(default_factory=list)
    """Attempts (periods with the same workers) so far. The last entry is the present attempt."""


def train_steps(
    timetable: Timetable,
    state: TrainingState,
    batches: Iterable[ViewBatch],
    model: nn.Module | None = None,
    rank: int = 0,
    times: StageTimes | None = None,
) -> Generator[FinishedStep]:
    """Trains on ``batches`` and yields a report after every step.

    Args:
        timetable: timetable of the logged steps, with the run's recipe.
        state: state of the run, which is updated in place.
        batches: this worker's share of each batch, beginning with step ``state.step``.
        model: objective wrapped in DistributedDataParallel; None if it is not wrapped.
        rank: rank of this worker, from 0.
        times: measured times of data loading, to log its speed.
    """
    recipe, objective = timetable.recipe, state.objective
    device = next(objective.parameters()).device
    meter = state.meter
    meter.times = times
    meter.restart_clock()
    for batch in meter.timed(batches):
        position = timetable.position(state.step)
        curves = schedules(recipe, position) | objective.schedules(position)
        set_schedules(state.optimizer, curves)
        _seed_step(recipe.seed, state.step, rank)
        seen = BatchStatistics() if timetable.is_boundary(state.step + 1) else None
        result, scalars = _train_step(
            recipe, state, model or objective, batch.to(device), position, seen
        )
        state.step += 1
        meter.count(len(batch), {"loss/total": result.loss, **result.metrics})
        metrics: dict[str, float] = {}
        if seen is not None:
            metrics = meter.read() | curves
            if state.step > 1:  # the first step includes start-up times
                metrics |= meter.read_speed()
            metrics |= _diagnose(state, seen, scalars, recipe)
            meter.clear()
        yield FinishedStep(
            step=state.step,
            epoch=state.step / position.steps_per_epoch,
            images_seen=state.step * recipe.training.batch_size,
            metrics=metrics,
        )
        if metrics:
            meter.restart_clock()  # the caller's work at a logged step is not training time


def _train_step(
    recipe: Recipe,
    state: TrainingState,
    model: nn.Module,
    batch: ViewBatch,
    position: RunPosition,
    seen: BatchStatistics | None,
) -> tuple[StepResult, dict[str, Tensor]]:
    """Carries out one optimiser step.

    Args:
        recipe: recipe of the run.
        state: state of the run, which is updated in place.
        model: objective, perhaps wrapped in DistributedDataParallel.
        batch: this worker's share of the batch, on its device.
        position: position of the step.
        seen: collects the statistics for diagnostics; None if the step is not logged.

    Returns:
        The step's result, and a dict of scalars: the gradient norms before clipping, and the size
        of the teacher's update. If the step is not logged, the dict contains only the norm of all
        gradients.
    """
    objective, optimizer, is_logged = state.objective, state.optimizer, seen is not None

    def after_each(share: float) -> None:
        if seen is not None:
            seen.add(objective.observe(), share)

    optimizer.zero_grad()
    micro_batches = batch.split(recipe.micro_batch_size)
    result = accumulate_gradients(model, micro_batches, position, recipe.training, after_each)
    scalars = gradient_norms(objective.trainable) if is_logged else {}
    scalars["gradient/norm"] = clip_gradients(objective.trainable.parameters(), recipe.optimizer)
    objective.before_optimizer(position)
    optimizer.step()
    teacher = [*objective.reference.parameters()] if objective.reference and is_logged else []
    before = [parameter.detach().clone() for parameter in teacher]
    objective.after_step(position)
    if teacher:
        scalars["teacher/update_size"] = update_size(before, teacher)
    return result, scalars


def is_diverged(report: FinishedStep) -> bool:
    """Returns True if the loss or the gradient of this step is not finite.

    The result is the same on every worker.
    """
    return is_lost(report.metrics)


def is_lost(metrics: Mapping[str, float]) -> bool:
    """Returns True if these metrics have a loss or a gradient that is not finite.

    The gradient shows divergence one step before the loss does: the update makes the weights NaN,
    and then the next loss is NaN.
    """
    values = (metrics.get(name, 0.0) for name in ("loss/total", "gradient/norm"))
    return not all(map(math.isfinite, values))


def is_broken(state: TrainingState) -> bool:
    """Returns True if the loss since the last logged step, or a weight, is not finite.

    The metrics of a logged step show divergence, but a run may be interrupted before that step. All
    workers must call this function. The result is the same on every worker.
    """
    losses = [loss for name, loss in state.meter.sums.items() if name == "loss/total"]
    tensors = [*losses, *parts_here(state.objective.parameters())]
    finite = torch.stack([tensor.isfinite().all() for tensor in tensors]).all()
    return bool(sum_over_workers((~finite).float()) > 0)


def _seed_step(seed: int, step: int, rank: int) -> None:
    """Seeds torch's generator for one step (dropout, mixup) from the run's seed, step and rank.

    So a resumed run draws the same numbers, and no generator's state is saved.
    """
    torch.manual_seed(hash((seed, step, rank)) % 2**63)  # hashes of ints are always the same


def _diagnose(
    state: TrainingState, seen: BatchStatistics, scalars: dict[str, Tensor], recipe: Recipe
) -> dict[str, float]:
    objective, scalars = state.objective, dict(scalars)
    if objective.reference is not None:
        scalars["teacher/ema_gap"] = ema_gap(
            objective.trainable.parameters(), objective.reference.parameters()
        )
    with outer_weights(objective, recipe.training):
        seen.read_tokens(objective.backbone)
    return dict(diagnose(seen, scalars, state.window)) | _cost(state, recipe)


def _cost(state: TrainingState, recipe: Recipe) -> dict[str, float]:
    """Counts the backbone's operations for one global view; empty without a transformer."""
    flops = forward_flops(state.objective.backbone, recipe.data.views.global_px)
    return {} if flops is None else {"throughput/backbone_gflops": flops / 1e9}


def new_state(recipe: Recipe, device: torch.device) -> TrainingState:
    """Makes the state of a run at step 0. The same seed gives the same weights."""
    torch.manual_seed(recipe.seed)
    objective = new_objective(recipe, CPU).to(device)
    return TrainingState(objective, optimizer_of(recipe, objective))


def new_objective(recipe: Recipe, device: torch.device) -> Objective:
    """Builds the objective of a run. On the device ``meta``, weights have shapes but no values."""
    mean, std = normalization(recipe.data.views, Manifest.read(recipe.data.dataset))
    with device:
        objective = build_objective(recipe, Photometry(recipe.data.views, mean, std))
    if recipe.training.activation_checkpointing:
        checkpoint_activations(objective.trainable)
    return objective


def optimizer_of(recipe: Recipe, objective: Objective) -> Optimizer:
    """Makes the optimiser of an objective, with the objective's own groups if there are any."""
    groups = objective.parameter_groups()
    return build_optimizer(recipe.optimizer, objective.trainable, groups)
