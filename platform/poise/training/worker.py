"""One run on Ray Train: the only file that knows it.

``fit`` is called where the run is controlled; ``_train`` runs on every worker.
"""

from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
)
from ray.train.torch import TorchTrainer, get_device, prepare_model
from torch import nn

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.manifest import Manifest
from poise.data.photometry import Photometry, normalization
from poise.data.stream import view_stream
from poise.objectives import build_objective
from poise.objectives.base import Objective
from poise.training.capacity import uses_gpu
from poise.training.checkpoint import History, load_checkpoint, read_run
from poise.training.job import Job, Outcome
from poise.training.loop import TrainingState, train_steps
from poise.training.optimizer import build_optimizer
from poise.training.schedule import Timetable
from poise.training.watch import Watch


def fit(job: Job) -> Outcome:
    """Carries a job out, or finishes what an interrupted one began.

    Raises:
        PoiseError: a worker found something wrong that a person can put right.
        KeyboardInterrupt: on Ctrl-C, once the workers were stopped.
    """
    training = job.recipe.training
    use_gpu = uses_gpu(job.recipe)
    trainer = TorchTrainer(
        _train,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=training.num_workers,
            use_gpu=use_gpu,
            resources_per_worker={
                "CPU": training.cpus_per_worker,
                **({"GPU": 1} if use_gpu else {}),
            },
        ),
        run_config=RunConfig(
            name=job.name,
            storage_path=str(job.storage),
            checkpoint_config=CheckpointConfig(num_to_keep=training.keep_checkpoints),
            # A lost node costs a restart, not the run.
            failure_config=FailureConfig(max_failures=1),
            callbacks=list(job.callbacks),
        ),
    )
    try:
        result = trainer.fit()
    except TrainingFailedError as error:
        cause = first_cause(error)
        if isinstance(cause, PoiseError):
            raise cause from None
        raise
    except SystemExit as end:
        if end.code in (0, 1):  # Ray Train's own answer to Ctrl-C, which would pass for an end
            raise KeyboardInterrupt from None
        raise
    if result.checkpoint is None:
        raise PoiseError(f"run {job.name}: ended without a checkpoint: {result.error}")
    checkpoint = Path(result.checkpoint.path)
    return Outcome(checkpoint, [tuple(entry) for entry in read_run(checkpoint)["history"]])


def first_cause(error: BaseException) -> BaseException:
    """The exception behind those that Ray wraps around it."""
    failures = getattr(error, "worker_failures", None)
    inner = (
        next(iter(failures.values()), None)
        if failures
        else getattr(error, "controller_failure", None)
    )
    inner = inner or getattr(error, "_base_exc", None) or getattr(error, "cause", None)
    return first_cause(inner) if isinstance(inner, BaseException) else error


def steps_per_epoch(recipe: Recipe) -> int:
    """Whole batches in the training dataset.

    Raises:
        PoiseError: there is not even one.
    """
    try:
        num_samples = Manifest.read(recipe.data.dataset).num_samples
    except PoiseError as error:
        raise PoiseError(f"data.dataset={error}") from None
    if num_samples < recipe.training.batch_size:
        raise PoiseError(
            f"training.batch_size={recipe.training.batch_size} is more than the {num_samples} "
            f"images of {recipe.data.dataset}; make it smaller"
        )
    return num_samples // recipe.training.batch_size


def timetable_of(recipe: Recipe) -> Timetable:
    """When things happen in a run of the recipe, on its dataset.

    Raises:
        PoiseError: as ``steps_per_epoch``.
    """
    return Timetable(recipe, steps_per_epoch(recipe))


def _train(config: dict[str, Any]) -> None:
    """The whole life of a run, on one worker."""
    job: Job = config["job"]
    recipe = job.recipe
    rank = ray.train.get_context().get_world_rank()
    world_size = ray.train.get_context().get_world_size()
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(recipe.training.cpus_per_worker)))

    timetable = timetable_of(recipe)
    state = new_state(recipe, device)
    history = _resume(job, state)
    watch = Watch(job, state, timetable, history, device, rank == 0, _report)
    # Another run's history, which it may have begun with, is judged once it has steps of its own.
    if ray.train.get_checkpoint() is not None and watch.has_ended():
        return  # interrupted at its very end
    if recipe.training.compile:
        state.objective.compile_backbones()
    batches = view_stream(recipe, rank, world_size, start_step=state.step)
    reports = train_steps(
        recipe, state, batches, timetable.progress, timetable.is_boundary, device,
        model=_wrap(state.objective, world_size), rank=rank,
    )  # fmt: skip
    with watch:
        watch.log_untrained()
        for report in reports:
            if report.metrics and watch.at_boundary(report):
                break
    reports.close()  # type: ignore[attr-defined]


def new_state(recipe: Recipe, device: torch.device) -> TrainingState:
    """A run at step 0. The same seed gives the same weights."""
    torch.manual_seed(recipe.seed)
    manifest = Manifest.read(recipe.data.dataset)
    mean, std = normalization(recipe.data.views, manifest)
    objective = build_objective(recipe, Photometry(recipe.data.views, mean, std)).to(device)
    groups = objective.parameter_groups()
    return TrainingState(objective, build_optimizer(recipe.optimizer, objective.trainable, groups))


def _report(metrics: dict[str, Any], folder: Path | None) -> None:
    checkpoint = None if folder is None else Checkpoint.from_directory(folder)
    ray.train.report(metrics, checkpoint=checkpoint)


def _resume(job: Job, state: TrainingState) -> History:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        if job.origin is None:
            return []
        return load_checkpoint(job.origin.checkpoint, state, job.recipe, job.origin.changed)
    with checkpoint.as_directory() as folder:
        return load_checkpoint(Path(folder), state, job.recipe)


def with_shared_statistics(objective: Objective) -> Objective:
    """The objective, its batch norms shared among workers where it says that they are."""
    if not objective.shares_batch_statistics:
        return objective
    convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm  # untyped
    shared: Objective = convert(objective)
    return shared


def _wrap(objective: Objective, world_size: int) -> nn.Module:
    if world_size == 1:
        return objective
    if next(objective.parameters()).is_cuda:  # shared statistics know no CPU
        objective = with_shared_statistics(objective)
    # Every worker updates the centre from the same sums, so buffers need not be sent around.
    wrapped: nn.Module = prepare_model(
        objective, parallel_strategy_kwargs={"broadcast_buffers": False}
    )
    return wrapped
