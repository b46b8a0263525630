"""Trains one run with Ray Train.

The process that controls the run calls ``fit``. Every worker runs ``_train``. Only the files
``worker*.py`` import Ray Train.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray.train
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    FailureConfig,
    Result,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
)
from ray.train.torch import get_device

from poise.cluster.nodes import nodes_that_answer, this_node
from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.outages import is_outage, patiently
from poise.config.paths import home
from poise.config.shared_folders import check_shared, marked
from poise.training.capacity import uses_gpu
from poise.training.checkpoint import read_run
from poise.training.checkpoint_store import later_name, store_checkpoint
from poise.training.elastic import NODE_ID_CHARACTERS, is_elastic, world_sizes
from poise.training.on_worker import Place, train_on_worker
from poise.training.run_mailbox import Mailbox
from poise.training.sigterm import TakenBack, leaving_with_notice
from poise.training.spec import Outcome, RunSpec
from poise.training.stop_request import HERE
from poise.training.watchdog import SignsOfLife, Stuck
from poise.training.worker_restart_guard import RestartGuard
from poise.training.worker_room import worker_resources
from poise.training.worker_scaling import Elasticity, lasting_trainer
from poise.training.worker_snapshot import mend_snapshot
from poise.training.worker_trainer import trainer_of

logger = logging.getLogger(__name__)

GROW_EVERY_S = 60.0
"""Time in seconds between two checks whether more workers fit on the cluster."""


def fit(spec: RunSpec) -> Outcome:
    """Carries out one run, or continues an interrupted run.

    If a node of the cluster is taken away, the run continues on the remaining nodes.

    Raises:
        PoiseError: a worker found an error that the user can fix, or a worker makes no progress.
        TakenBack: this process received SIGTERM, and the workers saved a checkpoint.
        KeyboardInterrupt: the user pressed Ctrl-C, and the workers were stopped.
    """
    training = spec.recipe.training
    folder = spec.storage / spec.name
    mailbox = Mailbox.open(training.hang_timeout_minutes, folder)
    step = -1
    with leaving_with_notice(mailbox.ask_to_leave) as is_leaving, marked(_folders(spec)) as marks:
        spec = replace(spec, marks=marks)
        while True:
            result = _fit_once(spec, mailbox)
            if result.checkpoint is None:
                raise PoiseError(
                    f"run {spec.name}: ended without a checkpoint: "
                    f"{result.error or result.return_value}"
                )
            checkpoint = spec.storage.of_path(result.checkpoint.path)
            kept = read_run(checkpoint)
            if result.return_value is None:
                return Outcome(checkpoint, [tuple(entry) for entry in kept["history"]])
            taken_back = TakenBack(result.return_value, kept["step"])
            if is_leaving() or kept["step"] <= step:  # without progress, the loop would never end
                raise taken_back
            step = kept["step"]
            logger.warning("run %s: %s; it goes on when there is room", spec.name, taken_back)


def _folders(spec: RunSpec) -> list[Path]:
    """Returns the folders of this machine that contain the files of a run."""
    own = home() / spec.name
    return [*(spec.storage / spec.name).folders_here, *([own] if own.is_dir() else [])]


def _fit_once(spec: RunSpec, mailbox: Mailbox) -> Result:
    training = spec.recipe.training
    use_gpu = uses_gpu(spec.recipe)
    folder, sizes = spec.storage / spec.name, world_sizes(spec.recipe)
    trainer_class, options = trainer_of(training.num_workers)
    elasticity = Elasticity(sizes, folder, spec.say) if is_elastic(spec.recipe) else None
    trainer_class = lasting_trainer(trainer_class, folder, elasticity)
    mend = partial(mend_snapshot, folder)
    patiently(mend, f"reading {folder}", spec.patience_s, is_outage)
    trainer = trainer_class(
        partial(_train, spec, mailbox),  # that process would also unpickle `train_loop_config`
        **options,
        scaling_config=ScalingConfig(
            elastic_resize_monitor_interval_s=GROW_EVERY_S,
            num_workers=(sizes[0], sizes[-1]) if is_elastic(spec.recipe) else sizes[-1],
            use_gpu=use_gpu,
            resources_per_worker=worker_resources(spec.recipe, use_gpu),
        ),
        run_config=RunConfig(
            name=spec.name,
            **_stored_in(spec.storage),
            checkpoint_config=CheckpointConfig(num_to_keep=training.keep_checkpoints),
            # A new checkpoint makes the count begin again (``PatientFailurePolicy``).
            failure_config=FailureConfig(max_failures=sizes[-1] - sizes[0] or 1),
            callbacks=[*spec.callbacks, RestartGuard()],
        ),
    )
    with _causes_raised():
        return trainer.fit()


@contextmanager
def _causes_raised() -> Iterator[None]:
    try:
        yield
    except TrainingFailedError as error:
        cause = first_cause(error)
        if isinstance(cause, PoiseError):
            raise cause from None
        raise
    except SystemExit as end:
        if end.code in (0, 1):  # Ray Train exits in this way after Ctrl-C
            raise KeyboardInterrupt from None
        raise


def _stored_in(storage: Location) -> dict[str, Any]:
    """Returns Ray Train's options for the storage.

    For object storage, Ray Train gets Poise's connection. From a URI, Ray Train would open a
    connection with other time limits.
    """
    if storage.is_local:
        return {"storage_path": str(storage)}
    system, path = storage.connect()
    return {"storage_path": path, "storage_filesystem": system}


def first_cause(error: BaseException) -> BaseException:
    """Returns the original exception inside the exceptions that Ray wraps around it."""
    failures = getattr(error, "worker_failures", None)
    inner = (
        next(iter(failures.values()), None)
        if failures
        else getattr(error, "controller_failure", None)
    )
    inner = inner or getattr(error, "_base_exc", None) or getattr(error, "cause", None)
    return first_cause(inner) if isinstance(inner, BaseException) else error


def _train(spec: RunSpec, mailbox: Mailbox) -> str | None:
    """Trains on one worker. Returns the reason if the machine is taken away; None at the run's end.

    Ray Train restarts this function after any error. If a restart cannot help, the first error is
    raised again at once.
    """
    failure = mailbox.failure()
    if failure is not None:
        raise failure
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    signs = SignsOfLife(mailbox.lives, mailbox.silent_s)
    place = Place(
        get_device(),
        partial(_report, spec, signs),
        rank,
        world_size,
        nodes=_nodes() if rank == 0 else (),
        node_leaves=_draining_nodes,
        hangs=partial(_end_hanging, mailbox, world_size),
        signs=signs,
    )
    found = ray.train.get_checkpoint()
    newest = None if found is None else spec.storage.of_path(found.path)
    over = threading.Event()
    if rank == 0:
        threading.Thread(target=mailbox.follow, args=(HERE, over), daemon=True).start()
    try:
        check_shared(spec.marks, this_node())
        return train_on_worker(spec, place, newest)
    except PoiseError as error:
        mailbox.fail(error)
        raise
    finally:
        over.set()


def _nodes() -> tuple[str, ...]:
    return tuple(sorted(node[:NODE_ID_CHARACTERS] for node in nodes_that_answer()))


def _draining_nodes() -> str | None:
    """Returns a sentence about nodes of this run that Ray will lose soon; None if there are none.

    All workers must call this function at the same time.
    """
    info = ray.train.get_preemption_info()
    if info is None:
        return None
    nodes = ", ".join(each[:12] for each in info.preempted_node_ids)
    return f"Ray loses node {nodes}, of worker rank {', '.join(map(str, info.preempted_ranks))}"


def _end_hanging(mailbox: Mailbox, world_size: int, stuck: Stuck) -> None:
    """Reports that this worker hangs, and ends its process.

    A thread that waits in a library cannot be ended otherwise.
    """
    logger.error("worker rank %d makes no progress: %s\n%s", stuck.rank, stuck.doing, stuck.stack)
    mailbox.hangs(stuck, world_size)
    os._exit(1)


def _report(
    spec: RunSpec, signs: SignsOfLife, metrics: dict[str, Any], folder: Path | None
) -> None:
    checkpoint = None if folder is None else Checkpoint.from_directory(folder)
    ray.train.report(
        metrics, checkpoint=checkpoint, checkpoint_upload_fn=partial(_store, spec, signs)
    )


def _store(spec: RunSpec, signs: SignsOfLife, checkpoint: Checkpoint, name: str) -> Checkpoint:
    """Stores a checkpoint, complete or not at all. Ray's own copy does not guarantee this."""
    run_folder, folder = spec.storage / spec.name, Path(checkpoint.path)
    check_shared(spec.marks, this_node())  # a mount can be lost while the run trains
    patience_s = spec.patience_s
    look = partial(later_name, run_folder, name)
    place = run_folder / patiently(look, f"reading {run_folder}", patience_s)
    patiently(lambda: store_checkpoint(folder, place, signs), f"storing {place}", patience_s)
    system, path = place.connect()
    return Checkpoint(path, system)
