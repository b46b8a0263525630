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
from ray.train.torch import TorchTrainer, get_device

from poise.config.errors import PoiseError
from poise.data.stream.stream import view_stream
from poise.diagnostics.history import Entry
from poise.training.capacity import uses_gpu
from poise.training.checkpoint import load_checkpoint, read_run
from poise.training.loop import TrainingState, new_state, train_steps
from poise.training.parallel import spread
from poise.training.schedule import timetable_of
from poise.training.spec import Outcome, RunSpec
from poise.training.watch import Watch


def fit(spec: RunSpec) -> Outcome:
    """Carries a run out, or finishes an interrupted one.

    Raises:
        PoiseError: a worker found something wrong that a person can put right.
        KeyboardInterrupt: on Ctrl-C, once the workers were stopped.
    """
    training = spec.recipe.training
    use_gpu = uses_gpu(spec.recipe)
    trainer = TorchTrainer(
        _train,
        train_loop_config={"spec": spec},
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


def _train(config: dict[str, Any]) -> None:
    """The whole life of a run, on one worker."""
    spec: RunSpec = config["spec"]
    recipe = spec.recipe
    rank = ray.train.get_context().get_world_rank()
    world_size = ray.train.get_context().get_world_size()
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(recipe.training.cpus_per_worker)))

    timetable = timetable_of(recipe)
    state = new_state(recipe, device)
    history = _resume(spec, state)
    watch = Watch(spec, state, timetable, history, device, rank == 0, _report)
    # Another run's history, which it may have begun with, is judged once it has steps of its own.
    if ray.train.get_checkpoint() is not None and watch.has_ended():
        return  # interrupted at its very end
    if recipe.training.compile:
        state.objective.compile_backbones()
    batches = view_stream(recipe, rank, world_size, start_step=state.step)
    reports = train_steps(
        recipe, state, batches, timetable.progress, timetable.is_boundary, device,
        model=spread(state.objective, world_size), rank=rank,
    )  # fmt: skip
    with watch:
        watch.log_untrained()
        for report in reports:
            if report.metrics and watch.at_boundary(report):
                break
    reports.close()  # type: ignore[attr-defined]


def _report(metrics: dict[str, Any], folder: Path | None) -> None:
    checkpoint = None if folder is None else Checkpoint.from_directory(folder)
    ray.train.report(metrics, checkpoint=checkpoint)


def _resume(spec: RunSpec, state: TrainingState) -> list[Entry]:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        if spec.start_from is None:
            return []
        return load_checkpoint(
            spec.start_from.checkpoint, state, spec.recipe, spec.start_from.changed
        )
    with checkpoint.as_directory() as folder:
        return load_checkpoint(Path(folder), state, spec.recipe)
