"""Spectra whose numbers are known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from poise.diagnostics.spectrum import (
    FLOOR,
    alpha_req,
    coherence,
    condition,
    covariance_eigenvalues,
    nesum,
    participation_ratio,
    rankme,
    singular_values,
    spectrum,
    spectrum_metrics,
    stable_rank,
)

EVERY = {
    *("alpha_req", "coherence", "condition", "nesum", "participation_ratio", "rankme"),
    *("stable_rank", "spectrum_002", "spectrum_004", "spectrum_008", "spectrum_016"),
}


def orthonormal(rows: int, columns: int) -> Tensor:
    """Columns of unit length at right angles to each other and to the vector of ones."""
    random = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
    columns_and_ones: Tensor = torch.linalg.qr(torch.cat([torch.ones(rows, 1), random], dim=1)).Q
    return columns_and_ones[:, 1:]


def rank_of(rank: int, rows: int = 200, columns: int = 24) -> Tensor:
    """Centred features [rows, columns] with ``rank`` equal singular values."""
    return orthonormal(rows, rank) @ orthonormal(columns, rank).T


def gaussian(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rank", [1, 3, 16])
def test_equal_directions_are_counted(rank: int) -> None:
    numbers = spectrum_metrics(rank_of(rank))
    for name in ("rankme", "stable_rank", "nesum", "participation_ratio"):
        assert numbers[f"features/{name}"].item() == pytest.approx(rank, rel=1e-3), name


@pytest.mark.parametrize("rank", [1, 5])
def test_wide_features_have_the_spectrum_of_tall_ones(rank: int) -> None:
    tall, wide = (singular_values(z) for z in (rank_of(rank, 60, 9), rank_of(rank, 60, 9).T))
    torch.testing.assert_close(tall, wide)
    expected = torch.linalg.svdvals(rank_of(rank, 60, 9).double())
    torch.testing.assert_close(tall, expected, atol=1e-7, rtol=0)


def test_isotropic_features_use_every_dimension_in_the_limit_of_many_images() -> None:
    numbers = spectrum_metrics(gaussian(20_000, 32))
    for name in ("rankme", "participation_ratio"):
        assert numbers[f"features/{name}"].item() == pytest.approx(32, rel=0.01), name
    assert numbers["features/nesum"].item() == pytest.approx(32, rel=0.1)
    assert numbers["features/condition"].item() == pytest.approx(1, abs=0.1)
    assert numbers["features/alpha_req"].item() == pytest.approx(0, abs=0.1)
    assert 1 < numbers["features/coherence"].item() < 2.5  # the longest of 20,000 rows


def test_covariances_are_those_of_the_library() -> None:
    features = 3 + gaussian(50, 7)
    expected = torch.linalg.eigvalsh(torch.cov(features.double().T, correction=0)).flip(0)
    torch.testing.assert_close(covariance_eigenvalues(features), expected)
    torch.testing.assert_close(covariance_eigenvalues(features[:5]).shape, torch.Size([4]))


def test_hand_made_spectra_give_what_the_formulas_say() -> None:
    values = torch.tensor([4.0, 2.0, 2.0], dtype=torch.float64)
    assert participation_ratio(values).item() == pytest.approx(64 / 24)
    assert nesum(values).item() == pytest.approx(2)
    assert stable_rank(values).item() == pytest.approx(24 / 16)
    assert condition(values).item() == pytest.approx(0.5)
    assert rankme(values).item() == pytest.approx(2 * math.sqrt(2), rel=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("count", [4, 12, 300])
def test_alpha_is_the_exponent_of_a_power_law(alpha: float, count: int) -> None:
    variances = torch.arange(1, count + 1, dtype=torch.float64) ** -alpha
    assert alpha_req(variances).item() == pytest.approx(alpha)


def test_alpha_ignores_the_first_and_the_last_of_many_eigenvalues() -> None:
    variances = torch.arange(1, 301, dtype=torch.float64) ** -1.0
    variances[:4] *= 50
    variances[100:] *= 1e-3
    assert alpha_req(variances).item() == pytest.approx(1)


@pytest.mark.parametrize("rank", [1, 4, 5, 16])
def test_alpha_is_steep_when_few_directions_are_left(rank: int) -> None:
    assert spectrum_metrics(rank_of(rank))["features/alpha_req"].item() > 3


def test_the_spectrum_falls_off_a_cliff_at_the_rank() -> None:
    points = spectrum(covariance_eigenvalues(rank_of(4)))
    assert list(points) == [2, 4, 8, 16]
    assert [points[index].item() for index in (2, 4)] == pytest.approx([0, 0], abs=1e-4)
    assert [points[index].item() for index in (8, 16)] == [FLOOR, FLOOR]
    halves = spectrum(0.5 ** torch.arange(8, dtype=torch.float64))
    assert [value.item() / math.log(0.5) for value in halves.values()] == pytest.approx([1, 3, 7])


def test_an_image_with_a_direction_of_its_own_is_coherent() -> None:
    features = torch.zeros(64, 8)
    features[:, :7] = gaussian(64, 7)
    spread = coherence(features[:, :7]).item()
    features[5, 7] = 1
    assert coherence(features).item() == pytest.approx(64 / 8, rel=1e-6)
    assert 1 < spread < 4
    leverages = torch.linalg.svd(features.double(), full_matrices=False).U.square().sum(1)
    assert coherence(features).item() == pytest.approx(leverages.max().item() * 8, rel=1e-6)


def test_coherence_of_independent_features_that_are_few_is_one() -> None:
    assert coherence(gaussian(6, 8)).item() == pytest.approx(1, rel=1e-6)
    repeated = gaussian(3, 8).repeat(2, 1)
    assert coherence(repeated).item() == pytest.approx(0.5, rel=1e-4)


def test_scale_changes_no_number() -> None:
    features = gaussian(40, 16) + 2
    plain, scaled = spectrum_metrics(features), spectrum_metrics(1e-3 * features)
    assert {name.removeprefix("features/") for name in plain} == EVERY
    for name, value in plain.items():
        torch.testing.assert_close(scaled[name], value, rtol=1e-4, atol=1e-4)
        assert (value.ndim, value.dtype) == (0, torch.float32)


@pytest.mark.parametrize("value", [0.37, 0.0])
def test_equal_features_differ_in_no_direction(value: float) -> None:
    numbers = spectrum_metrics(torch.full((40, 16), value))
    assert all(number.isfinite() for number in numbers.values())
    assert numbers["features/rankme"].item() == pytest.approx(1, abs=1e-3)
    assert numbers["features/stable_rank"].item() == pytest.approx(float(value > 0))
    for name in ("participation_ratio", "nesum"):
        assert numbers[f"features/{name}"].item() == 0
    for index in (2, 4, 8, 16):
        assert numbers[f"features/spectrum_{index:03d}"].item() == FLOOR
    assert numbers["features/alpha_req"].item() > 5


@pytest.mark.parametrize("rows", [40, 8])
def test_one_value_that_is_not_finite_makes_every_number_nan(rows: int) -> None:
    for broken in (torch.nan, torch.inf):
        features = gaussian(rows, 16)
        features[3, 2] = broken
        assert all(number.isnan() for number in spectrum_metrics(features).values())


@pytest.mark.parametrize(("rows", "columns"), [(1, 8), (2, 8), (8, 1)])
def test_what_few_images_or_dimensions_cannot_say_is_left_out(rows: int, columns: int) -> None:
    numbers = spectrum_metrics(gaussian(rows, columns))
    left_out = {"alpha_req", *(name for name in EVERY if name.startswith("spectrum"))}
    assert {name.removeprefix("features/") for name in numbers} == EVERY - left_out
    assert all(number.isfinite() for number in numbers.values())
