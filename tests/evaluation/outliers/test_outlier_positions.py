"""Outliers at known places."""

import numpy as np
import pytest
import torch
from torch import Tensor

from poise.evaluation.outliers.outlier_positions import (
    background_figures,
    place_figures,
    places_concentration,
    ranks,
)
from poise.evaluation.outliers.sample import TokenSample
from poise.evaluation.outliers.threshold import Threshold

LIMIT = Threshold(limit=10, median=1, outlier=50, separation=9)


def sample_of(norms: Tensor, cosines: Tensor, roughness: Tensor) -> TokenSample:
    outputs = {"norms": norms, "cosines": cosines, "roughness": roughness}
    return TokenSample(outputs, torch.zeros(len(norms)), np.arange(len(norms)), 0, 0)


def test_outliers_on_the_flattest_patches_have_the_highest_ranks() -> None:
    roughness = torch.rand(30, 21)
    norms = torch.ones(30, 21)
    norms[torch.arange(30), roughness.argmin(dim=1)] = 50
    figures = {
        each.name: each for each in place_figures(sample_of(norms, -roughness, roughness), LIMIT)
    }
    assert figures["flatness_rank_outlier"].value == 100
    assert figures["similarity_rank_outlier"].value == 100
    outlier, ordinary = (figures[f"neighbour_cosine_{kind}"] for kind in ("outlier", "ordinary"))
    assert outlier.value == pytest.approx(-roughness.amin(dim=1).mean().item())
    rest = (roughness.sum() - roughness.amin(dim=1).sum()) / (30 * 20)
    assert ordinary.value == pytest.approx(-rest.item())
    assert ordinary.low is not None and ordinary.low < ordinary.value


def test_outliers_anywhere_have_middle_ranks() -> None:
    torch.manual_seed(0)
    roughness = torch.rand(400, 21)
    norms = torch.ones(400, 21)
    norms[:, 4] = 50
    (rank,) = (
        each for each in place_figures(sample_of(norms, roughness, roughness), LIMIT)
        if each.name == "flatness_rank_outlier"
    )  # fmt: skip
    assert rank.low is not None and rank.high is not None and rank.low < 50 < rank.high


def test_equal_patches_share_their_rank() -> None:
    assert ranks(torch.tensor([[3.0, 1.0, 1.0, 2.0]])).tolist() == [
        pytest.approx([100, 100 / 6, 100 / 6, 200 / 3])
    ]
    assert ranks(torch.ones(2, 5)).tolist() == [[50.0] * 5] * 2


def test_without_outliers_only_ordinary_patches_are_described() -> None:
    found = list(
        place_figures(sample_of(torch.ones(4, 9), torch.ones(4, 9), torch.ones(4, 9)), LIMIT)
    )
    assert [each.name for each in found] == ["neighbour_cosine_ordinary"]


def test_outliers_on_the_background_of_masks_are_counted() -> None:
    background = torch.tensor([[1.0, 1.0, 0.0, 0.5], [torch.nan] * 4, [0.0, 1.0, 1.0, 0.0]])
    outliers = torch.tensor([[True, False, False, False], [True] * 4, [False, True, False, True]])
    found = {each.name: each.value for each in background_figures(background, outliers)}
    assert found == {
        "background_outlier": pytest.approx(200 / 3),
        "background_all": pytest.approx(100 * 4.5 / 8),
    }


def test_outliers_at_few_places_are_concentrated() -> None:
    stripes = np.zeros(100)
    stripes[:5] = 0.4
    assert places_concentration(stripes).value == pytest.approx(100)
    assert places_concentration(np.full(100, 0.01)).value == pytest.approx(10)
