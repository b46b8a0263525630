"""Views whose agreement is known."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.diagnostics.view_agreement import alignment, lidar, view_metrics


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def classes(rank: int, images: int = 96, dim: int = 24) -> Tensor:
    """Centred class means [images, dim] with ``rank`` directions of equal variance."""
    random = torch.cat([torch.ones(images, 1), gaussian(images, rank)], dim=1)
    means: Tensor = torch.linalg.qr(random).Q[:, 1:] @ torch.linalg.qr(gaussian(dim, rank)).Q.T
    return means


def test_alignment_is_the_mean_square_distance_of_an_images_views() -> None:
    features = gaussian(3, 5, 7)
    x = normalize(features, dim=-1)
    pairs = [(x[a] - x[b]).square().sum(-1).mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    torch.testing.assert_close(alignment(features), torch.stack(pairs).mean())


def test_equal_views_are_aligned_and_opposite_ones_are_far_apart() -> None:
    feature = gaussian(1, 6, 8)
    assert alignment(feature.expand(4, -1, -1)).item() == pytest.approx(0, abs=1e-6)
    assert alignment(torch.cat([feature, -feature])).item() == pytest.approx(4)


@pytest.mark.parametrize("scale", [1.0, 0.03, 0.003])
def test_lidar_of_equal_views_does_not_depend_on_how_small_features_are(scale: float) -> None:
    for views in (2, 8):
        assert lidar(scale * classes(4).expand(views, -1, -1)).item() == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_lidar_counts_the_directions_that_tell_images_apart(rank: int) -> None:
    views = classes(rank).expand(3, -1, -1)
    assert lidar(views).item() == pytest.approx(rank, rel=1e-3)
    assert lidar(views[..., :rank]).item() == pytest.approx(lidar(views[..., :rank] + 5).item())


def test_lidar_of_well_separated_images_does_not_see_small_noise_among_views() -> None:
    views = 10 * classes(4) + 1e-4 * gaussian(8, 96, 24)
    assert lidar(views).item() == pytest.approx(4, rel=0.02)


def test_lidar_discounts_directions_in_which_views_of_one_image_differ() -> None:
    means = classes(2)
    along = means[0] / means[0].norm()
    noise = gaussian(2, 96, 1)
    noisy = means + (noise - noise.mean(0)) * along  # the mean of views stays where it was
    rank = lidar(means.expand(2, -1, -1)).item()
    assert rank == pytest.approx(2, rel=1e-3)
    assert 1 <= lidar(noisy).item() < 1.2


def test_lidar_is_the_formula_written_out() -> None:
    views = gaussian(4, 30, 6).double() + 2 * gaussian(30, 6).double()
    means = views.mean(0)
    between = torch.cov(means.T, correction=0)
    within = torch.cov((views - means).flatten(0, 1).T, correction=0) + 1e-4 * torch.eye(6)
    values, vectors = torch.linalg.eigh(within)
    root = vectors @ torch.diag(values**-0.5) @ vectors.T
    noise = torch.cov((views - means).flatten(0, 1).T, correction=0) / 3
    found = torch.linalg.eigvalsh(root @ (between - noise) @ root)
    shares = found.clamp(min=0) / found.clamp(min=0).sum() + 1e-7
    expected = (-(shares * shares.log()).sum()).exp().item()
    assert lidar(views).item() == pytest.approx(expected, rel=1e-5)


def test_lidar_does_not_take_noise_among_few_views_for_differences_among_images() -> None:
    means = 2 * classes(4, images=4000, dim=16) * 4000**0.5
    noise = gaussian(16, 4000, 16)
    few, many = (lidar(means + noise[:views]).item() for views in (2, 16))
    assert few == pytest.approx(many, rel=0.1)


def test_collapsed_features_align_and_have_one_direction() -> None:
    numbers = view_metrics(torch.full((2, 40, 16), 0.37))
    assert numbers["features/alignment"].item() == pytest.approx(0, abs=1e-6)
    assert numbers["features/lidar"].item() == pytest.approx(1, abs=1e-3)


def test_features_that_are_not_finite_give_nan() -> None:
    for broken in (torch.nan, torch.inf):
        features = gaussian(2, 6, 4)
        features[1, 2, 3] = broken
        assert all(value.isnan() for value in view_metrics(features).values())


def test_views_of_one_image_have_no_others_to_be_told_from() -> None:
    numbers = view_metrics(gaussian(2, 1, 4))
    assert numbers["features/lidar"].item() == pytest.approx(1, abs=1e-3)
    assert all((value.ndim, value.dtype) == (0, torch.float32) for value in numbers.values())
