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

_AFTER_THE_WATCHDOG_S = 300
"""Seconds by which PyTorch's time limit is longer than the watchdog's. So the watchdog reports
first, and names the worker.
"""


def trainer_of(num_workers: int, hang_minutes: float | None) -> tuple[Any, dict[str, Any]]:
    """Returns the class of the trainer, and its options, which install the handler of SIGTERM.

    A single worker needs no process group of PyTorch. So the process that controls the run does not
    import PyTorch, which would take seconds.
    """
    if num_workers == 1:
        return DataParallelTrainer, {"backend_config": _HearingConfig()}
    from ray.train.torch import TorchTrainer

    from poise.training.worker_process_group import HearingTorchConfig

    config = HearingTorchConfig()
    if hang_minutes is not None:
        config.timeout_s = int(60 * hang_minutes) + _AFTER_THE_WATCHDOG_S
    return TorchTrainer, {"torch_config": config}


class _Hearing(Backend):  # type: ignore[misc]
    """Backend of a single worker, which only installs the handler of SIGTERM."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Installs the handler when all workers have started, before training."""
        worker_group.execute(hear_sigterm)


class _HearingConfig(BackendConfig):  # type: ignore[misc]
    backend_cls = _Hearing
