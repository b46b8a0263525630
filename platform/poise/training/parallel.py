"""Distributes a model over devices.

In: an objective on one device. Out: the same objective, with gradients and statistics averaged over
workers. Next: ``poise.training.worker``.
"""

from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from poise.objectives.base import Objective


def with_shared_statistics(objective: Objective) -> Objective:
    """Returns the objective. Its batch norms are shared among workers if it needs that."""
    if not objective.shares_batch_statistics:
        return objective
    convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm  # untyped
    shared: Objective = convert(objective)
    return shared


def spread(objective: Objective, world_size: int) -> nn.Module:
    """Returns the module whose forward pass is a step. Its gradients are averaged over workers."""
    if world_size == 1:
        return objective
    if next(objective.parameters()).is_cuda:  # shared statistics need a GPU
        objective = with_shared_statistics(objective)
    # # Every worker updates the centre from the same sums, so buffers need not be sent.
    return DistributedDataParallel(objective, broadcast_buffers=False)
