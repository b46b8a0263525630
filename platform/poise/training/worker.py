"""Trains one run on Ray Train. No other file imports Ray Train.

The process that controls the run calls ``fit``. Every worker runs ``_train``.
"""

from functools import partial
from pathlib import Path
from typing import Any

import ray.train
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
from poise.training.capacity import uses_gpu
from poise.training.checkpoint import read_run
from poise.training.on_worker import Place, train_on_worker
from poise.training.spec import Outcome, RunSpec


def fit(spec: RunSpec) -> Outcome:
    """Carries out one run, or continues an interrupted run.

    Raises:
        PoiseError: a worker found an error that the user can fix.
        KeyboardInterrupt: the user pressed Ctrl-C, and the workers were stopped.
    """
    training = spec.recipe.training
    use_gpu = uses_gpu(spec.recipe)
    # # A single worker needs no process group of PyTorch. Then the process that controls the run
    # need not import PyTorch, which takes seconds.
    trainer_class = TorchTrainer if training.num_workers > 1 else DataParallelTrainer
    trainer = trainer_class(
        partial(_train, spec),  # `train_loop_config` would also be unpickled by that process
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
            # # After a lost node the run restarts once.
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
        if end.code in (0, 1):  # Ray Train exits so after Ctrl-C, which would look like an end
            raise KeyboardInterrupt from None
        raise
    if result.checkpoint is None:
        raise PoiseError(f"run {spec.name}: ended without a checkpoint: {result.error}")
    checkpoint = Path(result.checkpoint.path)
    return Outcome(checkpoint, [tuple(entry) for entry in read_run(checkpoint)["history"]])


def first_cause(error: BaseException) -> BaseException:
    """Returns the exception inside the exceptions that Ray wraps around it."""
    failures = getattr(error, "worker_failures", None)
    inner = (
        next(iter(failures.values()), None)
        if failures
        else getattr(error, "controller_failure", None)
    )
    inner = inner or getattr(error, "_base_exc", None) or getattr(error, "cause", None)
    return first_cause(inner) if isinstance(inner, BaseException) else error


def _train(spec: RunSpec) -> None:
    context = ray.train.get_context()
    place = Place(get_device(), _report, context.get_world_rank(), context.get_world_size())
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        train_on_worker(spec, place, newest=None)
        return
    with checkpoint.as_directory() as folder:
        train_on_worker(spec, place, newest=Path(folder))


def _report(metrics: dict[str, Any], folder: Path | None) -> None:
    checkpoint = None if folder is None else Checkpoint.from_directory(folder)
    ray.train.report(metrics, checkpoint=checkpoint)
