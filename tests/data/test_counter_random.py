from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from poise.data.counter_random import uniforms
from poise.data.draws_on_device import uniforms_on_device


def test_a_draw_depends_on_its_address_alone() -> None:
    together = uniforms(3, 1, [[5], [9]], [0, 4, 7], 6)
    assert together.shape == (2, 3, 6)
    alone = uniforms(3, 1, 9, 4, 6)
    np.testing.assert_array_equal(together[1, 1], alone)
    np.testing.assert_array_equal(uniforms(3, 1, 9, 4, 2), alone[:2])


def test_known_values_never_change() -> None:
    """A change of the hash would silently change every run."""
    drawn = uniforms(0, 0, [0, 1], 0, 2)
    np.testing.assert_array_equal(
        drawn, [[0.7247520786262142, 0.3030308965844536], [0.8666327552820698, 0.8970155291304212]]
    )


@pytest.mark.parametrize(("seed", "epoch", "view"), [(0, 0, 0), (2**31 - 1, 7, -3)])
def test_a_device_draws_the_same_bits(seed: int, epoch: int, view: int) -> None:
    ids = np.array([0, 1, 5, 10**12])
    drawn = uniforms_on_device(seed, epoch, torch.from_numpy(ids), view, 9)
    np.testing.assert_array_equal(drawn.numpy(), uniforms(seed, epoch, ids, view, 9))


@pytest.mark.parametrize("part", ["seed", "epoch", "sample", "view", "draw"])
def test_neighbouring_addresses_are_uniform_and_independent(part: str) -> None:
    count = 40_000
    steps = np.arange(count)
    drawers: dict[str, Callable[[], NDArray[np.float64]]] = {
        "seed": lambda: np.array([uniforms(seed, 0, 0, 0, 1)[0] for seed in range(4_000)]),
        "epoch": lambda: np.array([uniforms(0, epoch, 0, 0, 1)[0] for epoch in range(4_000)]),
        "sample": lambda: uniforms(0, 0, steps, 0, 1)[:, 0],
        "view": lambda: uniforms(0, 0, 0, steps, 1)[:, 0],
        "draw": lambda: uniforms(0, 0, 0, 0, count),
    }
    sequence = drawers[part]()
    assert sequence.min() >= 0 and sequence.max() < 1
    assert stats.kstest(sequence, "uniform").pvalue > 1e-3
    for lag in (1, 2, 8):
        correlation = np.corrcoef(sequence[:-lag], sequence[lag:])[0, 1]
        assert abs(correlation) < 4 / np.sqrt(len(sequence))
    cells, _, _ = np.histogram2d(sequence[:-1:2], sequence[1::2], bins=10, range=[[0, 1]] * 2)
    assert stats.chisquare(cells.ravel()).pvalue > 1e-3


def test_exchanging_two_parts_of_an_address_gives_other_numbers() -> None:
    addresses = {(1, 2, 3, 4), (2, 1, 3, 4), (1, 3, 2, 4), (1, 2, 4, 3), (4, 3, 2, 1), (1, 2, 3, 5)}
    assert len({float(uniforms(*address, 1)[0]) for address in addresses}) == len(addresses)
