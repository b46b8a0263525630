"""Directions whose distances are known."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.diagnostics.spread import _pairs, feature_std, spread_metrics

NAMES = ("std", "cosine_mean", "cosine_max", "uniformity", "self_clustering", "nn_distance")


def spread(features: Tensor) -> dict[str, float]:
    numbers = spread_metrics(features)
    assert all((value.ndim, value.dtype) == (0, torch.float32) for value in numbers.values())
    return {name.removeprefix("features/"): value.item() for name, value in numbers.items()}


def gaussian(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


def test_pairs_are_all_but_the_diagonal() -> None:
    matrix = torch.arange(16).view(4, 4)
    expected = [value for value in range(16) if value % 5]
    assert _pairs(matrix).tolist() == expected
    assert _pairs(torch.arange(4).view(2, 2)).tolist() == [1, 2]


def test_feature_std_is_one_over_root_d_on_the_sphere_and_zero_when_collapsed() -> None:
    assert feature_std(gaussian(4000, 64)).item() == pytest.approx(1 / 8, rel=0.02)
    assert feature_std(torch.ones(10, 64)).item() == 0


def test_equal_features_are_collapsed_in_every_number() -> None:
    numbers = spread(torch.full((12, 8), 0.37))
    expected = {"std": 0, "cosine_mean": 1, "cosine_max": 1, "uniformity": 0, "nn_distance": 0}
    assert numbers == pytest.approx(expected | {"self_clustering": 1}, abs=1e-6)
    assert numbers["nn_distance"] == 0


def test_lengths_do_not_matter() -> None:
    features = gaussian(12, 8)
    lengths = torch.arange(1, 13)[:, None]
    assert spread(lengths * features) == pytest.approx(spread(features), abs=1e-5)


def test_directions_at_right_angles() -> None:
    numbers = spread(torch.eye(6))
    assert numbers["cosine_mean"] == numbers["cosine_max"] == 0
    assert numbers["uniformity"] == pytest.approx(-4)
    assert numbers["nn_distance"] == pytest.approx(math.sqrt(2))
    assert numbers["self_clustering"] == pytest.approx(-0.2)  # better than random: 1/6 of 5/6


def test_opposite_directions_lie_on_one_line() -> None:
    numbers = spread(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    assert numbers["cosine_mean"] == numbers["cosine_max"] == -1
    assert numbers["uniformity"] == pytest.approx(-8)
    assert numbers["self_clustering"] == pytest.approx(1)
    assert numbers["nn_distance"] == pytest.approx(2)


def test_random_directions_are_uniform_and_not_clustered() -> None:
    numbers = spread(gaussian(1000, 64))
    assert numbers["cosine_mean"] == pytest.approx(0, abs=1e-3)
    assert numbers["self_clustering"] == pytest.approx(0, abs=1e-3)
    assert numbers["uniformity"] == pytest.approx(-4 + 8 / 64, abs=0.01)


def test_doubles_are_seen_by_the_neighbours_not_by_the_mean() -> None:
    features = gaussian(64, 32).repeat(2, 1)
    numbers = spread(features)
    assert numbers["nn_distance"] == 0
    assert numbers["cosine_max"] == pytest.approx(1)
    assert abs(numbers["cosine_mean"]) < 0.05


def test_distances_are_those_of_a_plain_computation() -> None:
    features = gaussian(9, 5)
    x = normalize(features, dim=1)
    distances = torch.pdist(x)
    numbers = spread(features)
    assert numbers["uniformity"] == pytest.approx((-2 * distances**2).exp().mean().log().item())
    nearest = torch.cdist(x, x).fill_diagonal_(9).amin(1).mean().item()
    assert numbers["nn_distance"] == pytest.approx(nearest, rel=1e-5)
    gram, random = x @ x.T, 9 + 9 * 8 / 5
    published = (gram.square().sum().item() - random) / (81 - random)
    assert numbers["self_clustering"] == pytest.approx(published, abs=1e-5)


def test_features_that_are_zero_have_no_direction() -> None:
    numbers = spread(torch.zeros(6, 4))
    assert [numbers[name] for name in ("std", "cosine_mean", "uniformity", "nn_distance")] == [
        0
    ] * 4


def test_a_feature_that_is_not_finite_makes_every_number_nan() -> None:
    for broken in (torch.nan, torch.inf):
        features = gaussian(6, 4)
        features[2, 1] = broken
        numbers = spread(features)
        assert set(numbers) == set(NAMES)
        assert all(math.isnan(value) for value in numbers.values())


def test_a_single_image_is_not_compared() -> None:
    assert spread(gaussian(1, 4)) == {"std": 0}
