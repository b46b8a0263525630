"""Addressed randomness on the training device, bit for bit that of ``draws``.

In: an address (seed, epoch, sample, view), the samples as a tensor. Out: uniform numbers on its
device. Next: the objectives. Apart from ``draws``, because tasks that only read images do without
PyTorch, which takes seconds to import.
"""

import numpy as np
import torch
from torch import Tensor

from poise.data.draws import FACTORS, STRIDE, mix, word


def uniforms_on_device(seed: int, epoch: int, sample_ids: Tensor, view: int, count: int) -> Tensor:
    """``uniforms``, bit for bit, of sample ids [B] on any device: float64 [B, count].

    For what is drawn in the middle of a training step, where waiting for the ids to come back
    from the device would cost more than the drawing.
    """
    state = int(mix(mix(word(seed)) + word(epoch)).astype(np.int64))
    words = _mix_on_device(_mix_on_device(sample_ids.long() + state) + view)
    steps = torch.arange(1, count + 1, device=sample_ids.device) * _signed(STRIDE)
    bits = _mix_on_device(words[:, None] + steps)
    drawn: Tensor = _shifted(bits, 11).double() * 2.0**-53
    return drawn


def _mix_on_device(state: Tensor) -> Tensor:
    """``mix`` in signed integers, whose sums and products wrap to the same bits."""
    state = state + _signed(STRIDE)
    state = (state ^ _shifted(state, 30)) * _signed(FACTORS[0])
    state = (state ^ _shifted(state, 27)) * _signed(FACTORS[1])
    return state ^ _shifted(state, 31)


def _shifted(state: Tensor, places: int) -> Tensor:
    """Shifted right, with zeros coming in from the left."""
    shifted: Tensor = (state >> places) & (2 ** (64 - places) - 1)
    return shifted


def _signed(word: np.uint64) -> int:
    return int(word.astype(np.int64))
