"""Sums, means and gathers of a tensor over all workers, and decisions for all workers.

In: a tensor of this worker. Out: a tensor of the global batch, which is equal on every worker.
Next: objectives, diagnostics and the training loop.

In a single process these functions return the values of the tensor itself. With several workers
they are collectives of torch.distributed: all workers must call them in the same order, with
tensors of the same shape. The shapes are the same because all workers have equal shares of the
batch.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def sum_over_workers(value: Tensor) -> Tensor:
    """Returns the elementwise sum of all workers' ``value``, as a new tensor of the same shape."""
    total = value.clone()
    if _num_workers() > 1:
        dist.all_reduce(total)
    return total


def mean_over_workers(value: Tensor) -> Tensor:
    """Returns the elementwise mean of all workers' ``value``, as a new tensor of the same shape."""
    return sum_over_workers(value) / _num_workers()


def rows_of_all_workers(rows: Tensor, at_most: int | None = None) -> Tensor:
    """Concatenates the ``rows`` [n, …] of all workers in order of rank: [workers · n, …].

    Args:
        rows: rows of this worker.
        at_most: largest number of rows in total. Each worker contributes its first rows, at least
            one. None means all rows.
    """
    if at_most is not None:
        rows = rows[: max(1, at_most // _num_workers())]
    if _num_workers() == 1:
        return rows
    rows = rows.contiguous()  # NCCL needs contiguous tensors
    gathered = [torch.empty_like(rows) for _ in range(_num_workers())]
    dist.all_gather(gathered, rows)
    return torch.cat(gathered)


def decision_of_first(decision: bool, device: torch.device) -> bool:
    """Returns the decision of the worker with rank 0, on every worker.

    If each worker decided for itself, decisions could differ, for example because of their clocks.
    Then the workers would wait for each other forever.

    Args:
        decision: decision of this worker; only the decision of rank 0 counts.
        device: device of the training.
    """
    if _num_workers() == 1:
        return decision
    told = torch.tensor(float(decision), device=device)
    dist.broadcast(told, src=0)
    return bool(told.item())


def object_of_first(value: Any, device: torch.device) -> Any:
    """Returns a small object of the worker with rank 0, on every worker.

    Args:
        value: object of this worker; only the object of rank 0 counts.
        device: device of the training.
    """
    told = [value]
    if _num_workers() > 1:
        dist.broadcast_object_list(told, src=0, device=device)
    return told[0]


def _num_workers() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
