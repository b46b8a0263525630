"""From this worker's numbers to the global batch's.

In: a tensor of this worker. Out: the same over all workers. Next: every diagnostic.

With one process these are the identity. With several they are collectives: every worker must call
them in the same order with tensors of the same shape, which holds because each worker has an equal
share of the batch.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def mean_over_workers(value: Tensor) -> Tensor:
    """The mean of every worker's ``value``, elementwise; same shape."""
    if _num_workers() == 1:
        return value
    return sum_over_workers(value.clone()) / _num_workers()


def rows_of_all_workers(rows: Tensor, at_most: int | None = None) -> Tensor:
    """Every worker's ``rows`` [n, …] below one another: [workers · n, …], in order of rank.

    Args:
        rows: of this worker.
        at_most: rows in total; every worker gives its first ones, at least one.
    """
    if at_most is not None:
        rows = rows[: max(1, at_most // _num_workers())]
    if _num_workers() == 1:
        return rows
    rows = rows.contiguous()  # NCCL takes nothing else, to send or to fill
    gathered = [torch.empty_like(rows) for _ in range(_num_workers())]
    dist.all_gather(gathered, rows)
    return torch.cat(gathered)


def _num_workers() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_workers(values: Tensor) -> Tensor:
    """The sum of every worker's tensor; the tensor itself where there is one worker."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(values)
    return values
