"""Explains which setting to lower when a device's memory is full.

In: PyTorch's out-of-memory error in a step. Out: an error of one line. Next: the command line.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from poise.config.errors import PoiseError, one_line
from poise.config.recipe import Recipe

_ON_CPU = "DefaultCPUAllocator: can't allocate memory"


class DeviceMemoryError(PoiseError):
    """Error: the memory of a device is too small for the recipe."""


@contextmanager
def memory_errors_explained(recipe: Recipe, device: torch.device, rank: int) -> Iterator[None]:
    """Replaces PyTorch's out-of-memory error by one line with the settings to lower.

    Raises:
        DeviceMemoryError: PyTorch ran out of memory in the block.
    """
    try:
        yield
    except RuntimeError as error:
        is_full = isinstance(error, torch.OutOfMemoryError) or _ON_CPU in str(error)
        if not is_full:
            raise
        raise DeviceMemoryError(
            f"the memory of {device} is full on worker rank {rank} "
            f"({one_line(error, 160)}); {'; or '.join(remedies(recipe))}; then go on with --resume"
        ) from None


def remedies(recipe: Recipe) -> Iterator[str]:
    """Yields changes of settings that need less memory.

    Changes that do not affect learning come first.
    """
    training, views = recipe.training, recipe.data.views
    size = recipe.micro_batch_size
    if size > 1:
        half = max(part for part in range(1, size // 2 + 1) if recipe.worker_batch_size % part == 0)
        yield f"set training.micro_batch_size={half} (now {size})"
    if not training.activation_checkpointing:
        yield "training.activation_checkpointing=true"
    if size == 1:
        yield f"use more workers than training.num_workers={training.num_workers}"
    changes = []
    if training.precision == "fp32":
        changes.append("training.precision=bf16")
    if views.local_count:
        changes.append(f"fewer views than data.views.local_count={views.local_count}")
    changes.append(f"smaller views than data.views.global_px={views.global_px}")
    yield f"in a new run, {' or '.join(changes)}"
