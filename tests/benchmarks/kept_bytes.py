"""Bytes that a forward pass keeps for the backward pass, of real and of fake tensors."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def kept_bytes(left_out: nn.Module) -> Iterator[dict[int, int]]:
    """Collects the bytes of what is kept, by storage; complete after the block.

    The parameters of ``left_out`` are not counted.
    """
    parameters = {p.untyped_storage()._cdata for p in left_out.parameters()}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # a freed storage's address could be counted twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept
