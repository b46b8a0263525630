"""Addressed randomness: what is drawn depends on where it is used, never on what came before.

In: an address (seed, epoch, sample, view). Out: uniform numbers. Next: ``crops`` turns them into
boxes, ``photometry`` into colour changes, ``plan`` into an order.

There is no generator and no state, so any worker may draw any sample's numbers at any time: one
worker or eight, a first run or a resumed one, all see the same views.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

_STRIDE = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: the odd step of a Weyl sequence
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def uniforms(
    seed: int, epoch: int, sample_ids: ArrayLike, view: ArrayLike, count: int
) -> NDArray[np.float64]:
    """``count`` numbers in [0, 1) for each address.

    The address is hashed one part at a time with the finaliser of SplitMix64 (Steele et al. 2014,
    Stafford's variant 13); the draws of one address are the SplitMix64 sequence from there. Number
    i does not depend on ``count``: asking for more never changes the first ones.

    Args:
        seed: the run's seed.
        epoch: the epoch, from 0.
        sample_ids: integers of any shape.
        view: integers that broadcast against ``sample_ids``.
        count: numbers per address.

    Returns:
        float64 ``[*broadcast shape, count]``, multiples of 2**-53.
    """
    state = _mix(_mix(_word(seed)) + _word(epoch))
    state = _mix(_mix(state + _word(sample_ids)) + _word(view))
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the point
        steps = np.arange(1, count + 1, dtype=np.uint64) * _STRIDE
        bits = _mix(state[..., None] + steps)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def uniforms_on_device(seed: int, epoch: int, sample_ids: Tensor, view: int, count: int) -> Tensor:
    """``uniforms``, bit for bit, of sample ids [B] on any device: float64 [B, count].

    For what is drawn in the middle of a training step, where waiting for the ids to come back
    from the device would cost more than the drawing.
    """
    state = int(_mix(_mix(_word(seed)) + _word(epoch)).astype(np.int64))
    words = _mix_on_device(_mix_on_device(sample_ids.long() + state) + view)
    steps = torch.arange(1, count + 1, device=sample_ids.device) * _signed(_STRIDE)
    bits = _mix_on_device(words[:, None] + steps)
    drawn: Tensor = _shifted(bits, 11).double() * 2.0**-53
    return drawn


def _word(number: ArrayLike) -> NDArray[np.uint64]:
    return np.asarray(number, dtype=np.int64).astype(np.uint64)


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        word = word + _STRIDE  # the finaliser alone leaves 0 at 0
        word = (word ^ (word >> np.uint64(30))) * _FACTORS[0]
        word = (word ^ (word >> np.uint64(27))) * _FACTORS[1]
        return word ^ (word >> np.uint64(31))


def _mix_on_device(word: Tensor) -> Tensor:
    """``_mix`` in signed integers, whose sums and products wrap to the same bits."""
    word = word + _signed(_STRIDE)
    word = (word ^ _shifted(word, 30)) * _signed(_FACTORS[0])
    word = (word ^ _shifted(word, 27)) * _signed(_FACTORS[1])
    return word ^ _shifted(word, 31)


def _shifted(word: Tensor, places: int) -> Tensor:
    """Shifted right, with zeros coming in from the left."""
    shifted: Tensor = (word >> places) & (2 ** (64 - places) - 1)
    return shifted


def _signed(word: np.uint64) -> int:
    return int(word.astype(np.int64))
