"""Distributes training over several workers.

In: an objective on one device. Out: the same objective, with gradients and batch statistics
averaged over workers. Next: ``poise.training.on_worker``.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from poise.cluster.sharded_tensors import is_sharded
from poise.config.training import TrainingConfig
from poise.objectives.base import Objective
from poise.training.precision import autocast


def with_shared_statistics(objective: Objective) -> Objective:
    """Replaces batch norms by SyncBatchNorm, if the objective shares statistics among workers."""
    if not objective.shares_batch_statistics:
        return objective
    convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm  # untyped
    shared: Objective = convert(objective)
    return shared


def spread(objective: Objective, world_size: int) -> nn.Module:
    """Returns the module to train. Its gradients are averaged over workers.

    A sharded objective already averages its gradients and is returned as it is.
    """
    if world_size == 1 or is_sharded(objective.parameters()):
        return objective
    if next(objective.parameters()).is_cuda:  # shared statistics need a GPU
        objective = with_shared_statistics(objective)
    # Every worker updates the centre from the same sums, so buffers need not be sent.
    return DistributedDataParallel(objective, broadcast_buffers=False)


def waits_for_more(model: nn.Module, waits: bool) -> AbstractContextManager[None]:
    """Makes the context of a micro-batch, in which workers may have to exchange gradients.

    Without sharding, workers exchange gradients only in the last micro-batch of a batch.

    With sharded weights, workers exchange gradients after every micro-batch. Otherwise each worker
    would need memory for all gradients.

    Args:
        model: objective, perhaps wrapped in DistributedDataParallel.
        waits: whether more micro-batches of this batch follow.
    """
    if waits and isinstance(model, DistributedDataParallel):
        kept: AbstractContextManager[None] = model.no_sync()
        return kept
    return nullcontext()


@contextmanager
def outer_weights(objective: Objective, config: TrainingConfig) -> Iterator[None]:
    """Gathers the sharded weights outside of transformer blocks, for an extra forward pass.

    The weights are complete inside ``with``.

    If the objective is sharded, all workers must call this. Transformer blocks gather their own
    weights, perhaps in bf16. So the pass uses autocast with the same precision as a training step.

    Args:
        objective: objective, sharded or not.
        config: training settings, for the precision.
    """
    if not is_sharded(objective.parameters()):
        yield
        return
    sharded: Any = objective  # an FSDPModule, whose import takes time
    sharded.unshard()
    try:
        with autocast(config, next(objective.parameters()).device):
            yield
    finally:
        sharded.reshard()
