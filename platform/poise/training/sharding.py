"""Sharding: workers share weights, gradients and the optimiser's state (FSDP2, arXiv 2304.11277).

In: an objective without values (on the device ``meta``). Out: the same objective, with a part of
its weights on each worker. Next: ``poise.training.sharded_state``, which sets the values, and
``poise.training.loop``, which trains the objective.

A worker gathers the weights of one transformer block while it computes that block, and frees them
afterwards. The gradients of a block are averaged over workers, and each worker keeps its part. The
optimiser and the teacher's moving average update only the worker's own parts. Weights outside of
blocks (embeddings, heads, norms) are gathered together, for the whole forward and backward pass.
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import Shard

from poise.config.training import TrainingConfig
from poise.models.activation_checkpointing import transformer_blocks
from poise.models.backbone import PART_METHOD, part_function
from poise.objectives.base import Objective
from poise.training.precision import autocast_dtype


def shard(objective: Objective, config: TrainingConfig, device: torch.device) -> None:
    """Shards an objective, including its teacher, among all workers.

    Student and teacher are split in the same way. So each worker updates its part of the teacher
    without the other workers.

    Gradients are averaged in fp32. Weights outside of blocks stay in fp32.

    Args:
        objective: objective on any device. The device ``meta`` needs no memory.
        config: training settings, for the precision.
        device: device of the training.
    """
    assert dist.group.WORLD is not None, "there is one worker, which has nothing to share"
    mesh = DeviceMesh.from_group(dist.group.WORLD, device.type)
    cut = _cut_for(mesh.size())
    precision = MixedPrecisionPolicy(
        param_dtype=gathered_dtype(config, device), reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )  # fmt: skip
    for block in transformer_blocks(objective):
        fully_shard(block, mesh=mesh, shard_placement_fn=cut, mp_policy=precision)
        setattr(block, PART_METHOD, part_function(block))
        register_fsdp_forward_method(block, PART_METHOD)
    fully_shard(objective, mesh=mesh, shard_placement_fn=cut)


def gathered_dtype(config: TrainingConfig, device: torch.device) -> torch.dtype | None:
    """Returns the precision in which blocks gather their weights; None means fp32.

    On a GPU, this is the precision of matrix products. If blocks gathered fp32, autocast would
    store a bf16 copy of every block until the backward pass, and sharding would save little memory.
    Layers that autocast computes in fp32 convert their weights back. On a CPU, autocast does not
    convert weights back, so blocks gather fp32.
    """
    return autocast_dtype(config, device) if device.type == "cuda" else None


def _cut_for(num_workers: int) -> Callable[[nn.Parameter], Shard]:
    """Returns a function that chooses the dimension along which a weight is split.

    Usually this is the first dimension. All parts must have equal size, and missing rows are
    padded. So a weight [1, N, D], split along its first dimension, would need a whole copy on each
    worker.
    """

    def cut(parameter: nn.Parameter) -> Shard:
        shape = parameter.shape
        if shape[0] >= num_workers:
            return Shard(0)
        fitting = [place for place, size in enumerate(shape) if size % num_workers == 0]
        return Shard(fitting[-1] if fitting else 0)

    return cut
