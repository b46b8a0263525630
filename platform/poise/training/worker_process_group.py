"""Configuration of PyTorch's process group whose workers handle SIGTERM.

In: Ray Train's backend for PyTorch. Out: the same backend, which also installs the handler of
SIGTERM. Next: ``poise.training.worker_trainer``.
"""

from typing import Any

from ray.train.torch import TorchConfig

from poise.training.sigterm import hear_sigterm


class _HearingTorch(TorchConfig().backend_cls):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        super().on_start(worker_group, backend_config)
        worker_group.execute(hear_sigterm)


class HearingTorchConfig(TorchConfig):  # type: ignore[misc]
    """Configuration of PyTorch's process group, with a handler of SIGTERM on each worker."""

    backend_cls = _HearingTorch
