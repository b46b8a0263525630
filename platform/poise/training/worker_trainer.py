"""Trainers of Ray Train whose workers handle SIGTERM.

In: the number of workers. Out: a class of Ray Train and its options. Next:
``poise.training.worker``.

Python handles signals only in the main thread. In Ray Train, only the start of the backend runs in
a worker's main thread. The process that controls the run imports this file, so PyTorch is not
imported at its top.
"""

from typing import Any

from ray.train.backend import Backend, BackendConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from poise.training.sigterm import hear_sigterm
from poise.training.watchdog import LONGEST_WAIT


def trainer_of(num_workers: int) -> tuple[Any, dict[str, Any]]:
    """Returns the class of the trainer, and its options, which install the handler of SIGTERM.

    Workers wait for each other without a limit of PyTorch, because one of them may evaluate for
    hours. The watchdog ends a run that hangs, and names the worker.

    A single worker needs no process group of PyTorch. So the process that controls the run does not
    import PyTorch, which would take seconds.
    """
    if num_workers == 1:
        return DataParallelTrainer, {"backend_config": _HearingConfig()}
    from ray.train.torch import TorchTrainer

    from poise.training.worker_process_group import HearingTorchConfig

    config = HearingTorchConfig(timeout_s=int(LONGEST_WAIT.total_seconds()))
    return TorchTrainer, {"torch_config": config}


class _Hearing(Backend):  # type: ignore[misc]
    """Backend of a single worker, which only installs the handler of SIGTERM."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Installs the handler when all workers have started, before training."""
        worker_group.execute(hear_sigterm)


class _HearingConfig(BackendConfig):  # type: ignore[misc]
    backend_cls = _Hearing
