"""Draws the random numbers of ``draws`` on the training device, with exactly the same bits.

In: an address (seed, epoch, sample, view), in which the samples are a tensor. Out: uniform numbers
on the tensor's device. Next: the objectives. This module is separate from ``draws``, because tasks
that only read images do not need PyTorch, whose import takes seconds.
"""

import numpy as np
import torch
from torch import Tensor

from poise.data.counter_random import FACTORS, STRIDE, mix, word


def uniforms_on_device(
    seed: int, epoch: int, sample_ids: Tensor, view: int | Tensor, count: int
) -> Tensor:
    """Computes ``draws.uniforms`` for sample ids [B], with the same bits: float64 [B, count].

    The ids may be on any device. Objectives call this function in the middle of a training step.
    There, copying the ids from the device would take longer than drawing the numbers.

    Args:
        seed: seed of the run.
        epoch: epoch from 0.
        sample_ids: int64 [B].
        view: one number for all ids, or int64 [B].
        count: number of random numbers per address.
    """
    state = int(mix(mix(word(seed)) + word(epoch)).astype(np.int64))
    words = _mix_on_device(_mix_on_device(sample_ids.long() + state) + view)
    steps = torch.arange(1, count + 1, device=sample_ids.device) * _signed(STRIDE)
    bits = _mix_on_device(words[:, None] + steps)
    drawn: Tensor = _shifted(bits, 11).double() * 2.0**-53
    return drawn


def _mix_on_device(state: Tensor) -> Tensor:
    """Computes ``draws.mix`` with signed integers. Their sums and products have the same bits."""
    state = state + _signed(STRIDE)
    state = (state ^ _shifted(state, 30)) * _signed(FACTORS[0])
    state = (state ^ _shifted(state, 27)) * _signed(FACTORS[1])
    return state ^ _shifted(state, 31)


def _shifted(state: Tensor, places: int) -> Tensor:
    """Shifts bits to the right and fills with zeros from the left, even for negative numbers."""
    shifted: Tensor = (state >> places) & (2 ** (64 - places) - 1)
    return shifted


def _signed(word: np.uint64) -> int:
    return int(word.astype(np.int64))
