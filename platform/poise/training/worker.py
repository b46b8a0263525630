"""One run on Ray Train: the only file that knows it.

``fit`` is called where the run is controlled; ``_train`` runs on every worker.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
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
from ray.train.torch import TorchTrainer, get_device
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from poise.config.errors import PoiseError
from poise.data.batch import ViewBatch
from poise.data.stream.ahead import Started
from poise.data.stream.stream import view_stream
from poise.training.capacity import uses_gpu
from poise.training.checkpoint import load_checkpoint, read_run
from poise.training.loop import new_state, train_steps
from poise.training.parallel import spread
from poise.training.schedule import timetable_of
from poise.training.spec import Outcome, RunSpec
from poise.training.watch import Watch


def fit(spec: RunSpec) -> Outcome:
    """Carries out one run, or finishes what an interrupted one began.

    Raises:
        PoiseError: a worker found something wrong that a person can put right.
        KeyboardInterrupt: on Ctrl-C, once the workers were stopped.
    """
    training = spec.recipe.training
    use_gpu = uses_gpu(spec.recipe)
    # One worker has nobody to meet: without PyTorch's process group, the process that controls the
    # run need not import PyTorch, which takes seconds.
    trainer_class = TorchTrainer if training.num_workers > 1 else DataParallelTrainer
    trainer = trainer_class(
        partial(_train, spec),  # not in `train_loop_config`, which that process would unpickle too
        scaling_config=ScalingConfig(
            num_workers=training.num_workers,
            use_gpu=use_gpu,
            resources_per_worker={
                "CPU": training.cpus_per_worker,
                **({"GPU": 1} if use_gpu else {}),
            },
        ),
        run_config=RunConfig(
            name=spec.name,
            storage_path=str(spec.storage),
            checkpoint_config=CheckpointConfig(num_to_keep=training.keep_checkpoints),
            # A lost node costs a restart, not the run.
            failure_config=FailureConfig(max_failures=1),
            callbacks=list(spec.callbacks),
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
        raise PoiseError(f"run {spec.name}: ended without a checkpoint: {result.error}")
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


def _train(spec: RunSpec) -> None:
    """The whole life of a run, on one worker."""
    recipe = spec.recipe
    rank = ray.train.get_context().get_world_rank()
    world_size = ray.train.get_context().get_world_size()
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(recipe.training.cpus_per_worker)))
    else:
        torch.cuda.set_device(device)
    with _first_checkpoint(spec) as origin:
        first_step = 0 if origin is None else int(read_run(origin)["step"])
        stream = view_stream(recipe, rank, world_size, start_step=first_step)
        with closing(Started(stream)) as batches:  # it starts while the model is built
            state = new_state(recipe, device)
            changed = spec.start_from.changed if spec.start_from is not None else ()
            history = load_checkpoint(origin, state, recipe, changed) if origin else []
            watch = Watch(spec, state, timetable_of(recipe), history, device, rank == 0, _report)
            _train_on(watch, batches, rank, world_size)


def _train_on(watch: Watch, batches: Iterable[ViewBatch], rank: int, world_size: int) -> None:
    """Trains from where the state stands to the run's end."""
    recipe, state, timetable = watch.spec.recipe, watch.state, watch.timetable
    # Another run's history, which it may have begun with, is judged once it has steps of its own.
    if ray.train.get_checkpoint() is not None and watch.has_ended():
        return  # interrupted at its very end
    if recipe.training.compile:
        state.objective.compile_backbones()
    model = spread(state.objective, world_size)
    reports = train_steps(timetable, state, batches, model, rank)
    with watch, closing(reports):
        watch.log_untrained()
        for report in reports:
            if report.metrics and watch.at_boundary(report):
                break


def _report(metrics: dict[str, Any], folder: Path | None) -> None:
    checkpoint = None if folder is None else Checkpoint.from_directory(folder)
    ray.train.report(metrics, checkpoint=checkpoint)


@contextmanager
def _first_checkpoint(spec: RunSpec) -> Iterator[Path | None]:
    """The checkpoint to begin with: the run's own newest, else another run's; none begins anew."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        yield None if spec.start_from is None else spec.start_from.checkpoint
        return
    with checkpoint.as_directory() as folder:
        yield Path(folder)
