"""Functions for tensors that are sharded (each worker stores a part) or whole.

In: weights or gradients, sharded or whole. Out: parts of this worker, whole tensors, and norms over
all workers. Next: objectives, diagnostics and the training loop, which call these functions in both
cases.

A sharded tensor is a ``DTensor`` of PyTorch. If a function takes several tensors, either all of
them are sharded or none. Two sharded tensors of the same shape are divided at the same places. So
elementwise operations need no other worker.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from poise.cluster.collectives import sum_over_workers


def is_sharded(tensors: Iterable[Tensor]) -> bool:
    """Returns True if these tensors are sharded: each worker stores a part of them."""
    return any(hasattr(tensor, "to_local") for tensor in tensors)  # importing DTensor takes time


def part_here(tensor: Tensor) -> Tensor:
    """Returns this worker's part of a sharded tensor, or the tensor itself if it is whole.

    The result shares memory with the tensor. The part of a small tensor may be empty.
    """
    sharded: Any = tensor.detach()
    part: Tensor = sharded.to_local() if is_sharded([tensor]) else sharded
    return part


def parts_here(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Returns the part of each tensor that this worker stores. A tensor may also be unsharded."""
    return [part_here(tensor) for tensor in tensors]


def whole(tensor: Tensor) -> Tensor:
    """Returns the whole tensor. If the tensor is sharded, all workers must call this function."""
    sharded: Any = tensor.detach()
    joined: Tensor = sharded.full_tensor() if is_sharded([tensor]) else sharded
    return joined


def norms_over_workers(parts: Sequence[Tensor], sharded: bool) -> Tensor:
    """Computes the norm ‖x‖₂ of each tensor over all workers: [number of tensors].

    Args:
        parts: this worker's parts of at least one tensor, or whole tensors.
        sharded: whether ``parts`` are parts. If so, all workers must call this function.
    """
    norms = torch.stack(torch._foreach_norm(list(parts)))
    if not sharded:
        return norms
    return sum_over_workers(norms.double().square()).sqrt().to(norms.dtype)


def total_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Computes the norm ‖x‖₂ over the elements of all tensors together; 0 if there is no tensor.

    If the tensors are sharded, all workers must call this function.
    """
    tensors = list(tensors)
    if not tensors:
        return torch.tensor(0.0)
    norms = norms_over_workers(parts_here(tensors), is_sharded(tensors))
    total: Tensor = torch.linalg.vector_norm(norms)
    return total


def distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """Computes the norm ‖x − y‖₂ over all pairs of tensors together.

    Pair i is tensor i of both lists. If the tensors are sharded, all workers must call this
    function.
    """
    differences = torch._foreach_sub(parts_here(one), parts_here(other))
    norms = norms_over_workers(differences, is_sharded(one))
    total: Tensor = torch.linalg.vector_norm(norms)
    return total
