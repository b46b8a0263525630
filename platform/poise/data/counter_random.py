"""Draws random numbers that depend only on an address, and not on earlier draws.

In: an address (seed, epoch, sample, view). Out: uniform numbers. Next: ``poise.data.views.crops``
turns the numbers into boxes, ``poise.data.views.color_augmentation`` into colour changes, and
``poise.data.stream.plan`` into an order.

There is no generator and no state. So any worker can draw the numbers of any sample at any time.
The views are the same with one worker or eight, and in a new run or a resumed run.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

STRIDE = np.uint64(0x9E3779B97F4A7C15)
"""Step of a Weyl sequence: 2**64 divided by the golden ratio, rounded to an odd number."""

FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""Multipliers of the finaliser of SplitMix64 (Stafford's variant 13)."""


def uniforms(
    seed: int, epoch: int, sample_ids: ArrayLike, view: ArrayLike, count: int
) -> NDArray[np.float64]:
    """Draws ``count`` numbers in [0, 1) for each address.

    The finaliser of SplitMix64 (Steele et al. 2014, Stafford's variant 13) hashes the address, one
    part at a time. The numbers of an address are the SplitMix64 sequence that starts at this hash.
    Number i does not depend on ``count``.

    Args:
        seed: seed of the run.
        epoch: epoch from 0.
        sample_ids: integers of any shape.
        view: integers that broadcast against ``sample_ids``.
        count: number of random numbers per address.

    Returns:
        float64 ``[*broadcast shape, count]``, multiples of 2**-53.
    """
    state = mix(mix(word(seed)) + word(epoch))
    state = mix(mix(state + word(sample_ids)) + word(view))
    with np.errstate(over="ignore"):  # sums and products wrap modulo 2**64
        steps = np.arange(1, count + 1, dtype=np.uint64) * STRIDE
        bits = mix(state[..., None] + steps)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def word(number: ArrayLike) -> NDArray[np.uint64]:
    """Converts integers to unsigned 64-bit words. Negative integers wrap around."""
    return np.asarray(number, dtype=np.int64).astype(np.uint64)


def mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Adds one step of the SplitMix64 sequence to words, and hashes the sums with its finaliser."""
    with np.errstate(over="ignore"):
        state = state + STRIDE  # without this step, 0 would stay 0
        state = (state ^ (state >> np.uint64(30))) * FACTORS[0]
        state = (state ^ (state >> np.uint64(27))) * FACTORS[1]
        return state ^ (state >> np.uint64(31))
