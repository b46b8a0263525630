"""Norms with one group or two, whose truth is known."""

import math

import pytest
import torch
from torch import Tensor

from poise.evaluation.outliers.threshold import (
    EDGES,
    count_norms,
    find_threshold,
    outlier_mask,
    quantile_of,
    threshold_of,
)


def norms(share: float, factor: float = 10, spread: float = 0.25, num: int = 64_000) -> Tensor:
    """Norms around 30, of which some are longer by a factor."""
    generator = torch.Generator().manual_seed(0)
    found = 30 * (spread * torch.randn(num, generator=generator)).exp()
    count = round(share * num)
    found[:count] = 30 * factor * (0.1 * torch.randn(count, generator=generator)).exp()
    return found


@pytest.mark.parametrize("share", [0.001, 0.0237, 0.1, 0.4])
@pytest.mark.parametrize("factor", [4, 10, 100])
def test_outliers_of_any_share_and_length_are_found_exactly(share: float, factor: float) -> None:
    for scale in (0.01, 1.0, 100.0):
        lengths = scale * norms(share, factor)
        threshold = threshold_of(lengths)
        mask = outlier_mask(lengths, threshold)
        assert mask.float().mean().item() == pytest.approx(share, rel=0.03)
        assert threshold.outlier == pytest.approx(30 * factor * scale, rel=0.1)
        assert threshold.separation is not None and threshold.separation > 2
        assert torch.equal(outlier_mask(lengths), mask), "it finds the threshold by itself"


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.25, 0.8])
def test_one_group_has_no_outliers_however_broad_it_is(spread: float) -> None:
    for num in (64, 1000, 64_000):
        threshold = threshold_of(norms(0, spread=spread, num=num))
        assert not threshold.found and threshold.limit == math.inf
        assert threshold.outlier is None and threshold.separation is None


@pytest.mark.parametrize("seed", range(5))
def test_a_long_tail_is_no_second_group(seed: int) -> None:
    torch.manual_seed(seed)
    student = torch.distributions.StudentT(2.0).sample((16_000,))
    pareto = torch.distributions.Pareto(1.0, 2.0).sample((16_000,))
    for lengths in ((0.2 * student).exp().clamp(1e-3, 1e5), pareto):
        assert not outlier_mask(lengths).any()


def test_a_second_hump_under_twice_the_median_is_ordinary() -> None:
    assert not threshold_of(norms(0.3, factor=1.7, spread=0.05)).found
    assert threshold_of(norms(0.3, factor=2.6, spread=0.05)).found


def test_a_group_of_short_norms_does_not_make_the_ordinary_tokens_outliers() -> None:
    lengths = norms(0.03, factor=4, spread=0.1)
    lengths[-25_600:] = 5.0  # an equal background in 40 % of the patches
    assert outlier_mask(lengths).float().mean().item() == pytest.approx(0.03, rel=0.03)


def test_a_few_long_tokens_are_no_group() -> None:
    assert not threshold_of(norms(5 / 64_000)).found
    assert threshold_of(norms(30 / 64_000)).found


def test_the_limit_does_not_depend_on_how_norms_arrive() -> None:
    lengths = norms(0.02)
    parts = sum(count_norms(part.view(-1, 10)) for part in lengths.split(3_000))
    assert find_threshold(parts) == threshold_of(lengths)  # type: ignore[arg-type]


def test_the_mask_and_the_counts_agree_at_the_limit() -> None:
    lengths = norms(0.02)
    threshold = threshold_of(lengths)
    lengths[0] = threshold.limit
    counts = count_norms(lengths)
    above = counts[1 + int((threshold.limit > EDGES).sum()) :].sum()
    assert above == outlier_mask(lengths, threshold).sum()


def test_norms_outside_the_bins_are_counted_too() -> None:
    counts = count_norms(torch.tensor([0.0, 1e-9, 1e9, 5.0]))
    assert counts.sum() == 4 and counts[0] == 2 and counts[-1] == 1


def test_quantiles_are_known_to_two_percent() -> None:
    lengths = norms(0)
    for level in (0.1, 0.5, 0.99, 1.0):
        exact = torch.quantile(lengths, level).item()
        assert quantile_of(count_norms(lengths), level) == pytest.approx(exact, rel=0.02)
