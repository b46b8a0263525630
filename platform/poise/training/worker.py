"""One run on Ray Train: the only file that knows it.

``fit`` is called where the run is controlled; ``_train`` runs on every worker.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

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
from poise.training.checkpoint import History, load_checkpoint, read_run, save_checkpoint
from poise.training.loop import TrainingState, is_diverged, train_steps
from poise.training.optimizer import build_optimizer
from poise.training.report import RunObserver, StepReport
from poise.training.schedule import Timetable
from poise.training.showing import Showcase

Probe = Callable[[nn.Module, torch.device], Iterable[tuple[str, float]]]
"""Yields (name, value) of a backbone; the caller adds the prefix ``eval/``."""


@dataclass(frozen=True)
class Job:
    """One run, ready to be carried out. Everything in it can be sent to another machine."""

    recipe: Recipe
    name: str
    """Of the run; a job of the same name and storage resumes it."""

    storage: Path
    """Folder of runs, reached by every machine."""

    observers: Sequence[Callable[[], RunObserver]] = ()
    """Make those who follow the run, on its first worker."""

    probe: Probe | None = None
    export: Callable[[nn.Module, Path], None] | None = None
    """Writes the backbone into a folder of each checkpoint."""

    callbacks: Sequence[Any] = field(default=())
    """Ray Train's, called where the run is controlled."""


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    checkpoint: Path
    history: History


BACKBONE_FOLDER = "backbone"


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


def _train(config: dict[str, Any]) -> None:
    """The whole life of a run, on one worker."""
    job: Job = config["job"]
    recipe = job.recipe
    rank = ray.train.get_context().get_world_rank()
    world_size = ray.train.get_context().get_world_size()
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(recipe.training.cpus_per_worker)))

    timetable = Timetable(recipe, steps_per_epoch(recipe))
    state = new_state(recipe, device)
    history = _resume(job, state)
    if state.step >= timetable.total_steps:
        return  # resumed after its end
    if recipe.training.compile:
        state.objective.compile_backbones()
    batches = view_stream(recipe, rank, world_size, start_step=state.step)
    reports = train_steps(
        recipe, state, batches, timetable.progress, timetable.is_boundary, device,
        model=_wrap(state.objective, world_size), rank=rank,
    )  # fmt: skip
    with _Watch(job, state, timetable, history, device, is_first=rank == 0) as watch:
        watch.log_untrained()
        for report in reports:
            if report.metrics:
                watch.at_boundary(report)
            if report.step >= timetable.total_steps or is_diverged(report):
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


@dataclass
class _Watch:
    """What happens beside training: evaluations, observers, pictures, checkpoints."""

    job: Job
    state: TrainingState
    timetable: Timetable
    history: History
    device: torch.device
    is_first: bool
    """Whether this worker speaks for the run."""

    observers: list[RunObserver] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.showcase = Showcase(self.job.recipe, self.device)

    def __enter__(self) -> Self:
        self.observers = [make() for make in self.job.observers] if self.is_first else []
        return self

    def __exit__(self, *reason: object) -> None:
        for observer in self.observers:
            observer.close()

    def log_untrained(self) -> None:
        """What the probe says before any training: what a later figure must be held against."""
        if self.state.step == 0 and self.is_first and self.job.probe is not None:
            metrics = self._probe()
            untrained = {key.replace("eval/", "untrained/"): v for key, v in metrics.items()}
            self._log(0, metrics | untrained)

    def at_boundary(self, report: StepReport) -> None:
        """Evaluates, tells the observers and commits a checkpoint, as the timetable says."""
        metrics = dict(report.metrics)
        diverged = is_diverged(report)
        evaluates = self.job.probe is not None and self.timetable.evaluates(report.step)
        if evaluates and self.is_first and not diverged:
            metrics |= self._probe()
        self._log(report.step, metrics)
        if self.timetable.shows(report.step) and self.is_first and not diverged:
            self._show(report.step)
        told = metrics | {"step": report.step}
        if self.timetable.checkpoints(report.step) or diverged:
            self._commit(told)
        elif evaluates:
            ray.train.report(told)

    def _probe(self) -> dict[str, float]:
        assert self.job.probe is not None
        found = self.job.probe(self.state.objective.backbone, self.device)
        return {f"eval/{name}": value for name, value in found}

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        self.history.append((step, metrics))
        for observer in self.observers:
            observer.log(step, metrics)

    def _show(self, step: int) -> None:
        if not self.observers:
            return
        for name, picture in self.showcase.pictures(self.state.objective).items():
            for observer in self.observers:
                observer.show(step, name, picture)

    def _commit(self, metrics: dict[str, Any]) -> None:
        if not self.is_first:
            ray.train.report(metrics)
            return
        for observer in self.observers:
            observer.flush()
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            save_checkpoint(scratch, self.state, self.job.recipe, self.history)
            if self.job.export is not None:
                self.job.export(self.state.objective.backbone, scratch / BACKBONE_FOLDER)
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(scratch))


def _resume(job: Job, state: TrainingState) -> History:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return []
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
