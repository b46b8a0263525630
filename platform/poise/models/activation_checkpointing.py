"""Activation checkpointing: a block stores only its input in the forward pass.

In the backward pass, the block computes all other values again.

In: a module with transformer blocks. Out: the same module, with the same outputs and gradients. The
module then needs less memory and more time. Next: ``poise.training.loop``.

Source: training with sublinear memory cost (arXiv 1604.06174).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from poise.models.drop_path import drop_paths, given_draws

_MARK = "recomputes"


def transformer_blocks(module: nn.Module) -> list[nn.Module]:
    """Lists all transformer blocks of a module: those of its backbone and those of its decoder."""
    stacks = [
        stack for name, stack in module.named_modules() if name.rpartition(".")[2] == "blocks"
    ]
    return [block for stack in stacks for block in stack.children()]


def checkpoint_activations(module: nn.Module) -> None:
    """Switches activation checkpointing on for every transformer block of a module."""
    for block in transformer_blocks(module):
        setattr(block, _MARK, True)
        block.forward = as_block_wants(block, block.forward)


def as_block_wants(block: nn.Module, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wraps a function of a block, so that only its inputs are stored if checkpointing is on.

    The function runs twice: in the forward pass and in the backward pass. Both times, it drops the
    same branches (stochastic depth). If gradients are off, the wrapper calls the function directly.
    """
    if not getattr(block, _MARK, False):
        return function

    def run(*inputs: Any, **named: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return function(*inputs, **named)
        layers = drop_paths(block)
        draws = [layer.draws for layer in layers]

        def compute(*inputs: Any, **named: Any) -> Tensor:
            with given_draws(layers, draws):
                return function(*inputs, **named)

        outputs: Tensor = checkpoint(compute, *inputs, use_reentrant=False, **named)
        return outputs

    return run
