"""Tokens whose content is known: place, pixels, class, or nothing."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from poise.evaluation.outliers.sample import Tokens
from poise.evaluation.outliers.token_content import (
    Halves,
    class_figure,
    equally_many,
    pixel_figures,
    position_figures,
    regress,
)

GRID = (4, 5)


def tokens(num_images: int, knows: str) -> Tokens:
    """Three tokens of each image, with noise in 40 dimensions and what they know in the others."""
    generator = torch.Generator().manual_seed(0)
    images = torch.arange(num_images).repeat_interleave(3)
    places = torch.randint(20, (len(images),), generator=generator)
    pixels = torch.randn(len(images), 12, generator=generator)
    noise = 0.1 * torch.randn(len(images), 40, generator=generator)
    known = {
        "place": torch.nn.functional.one_hot(places, 20).float(),
        "pixels": pixels,
        "nothing": noise,
    }[knows]
    return Tokens(torch.cat([noise, known], dim=1), images, places, pixels)


def figures_of(kind: Tokens) -> dict[str, float]:
    halves = Halves.of(int(kind.images.max()) + 1)
    found = [*position_figures("x", kind, halves, GRID), *pixel_figures("x", kind, halves)]
    assert all(each.low is not None and each.low <= each.value for each in found)
    return {each.name.removesuffix("_x"): each.value for each in found}


def test_a_token_that_knows_its_place_gives_it_away() -> None:
    found = figures_of(tokens(400, "place"))
    assert found["position_top1"] == 100 and found["position_error"] < 0.1
    assert found["pixel_error"] == pytest.approx(found["pixel_guess"], rel=0.05)


def test_a_token_that_knows_its_pixels_gives_them_away() -> None:
    found = figures_of(tokens(400, "pixels"))
    assert found["pixel_error"] < 0.1 < 3 < found["pixel_guess"]
    assert found["position_error"] == pytest.approx(found["position_guess"], rel=0.05)


def test_a_token_that_knows_nothing_is_no_better_than_a_guess() -> None:
    found = figures_of(tokens(400, "nothing"))
    for what in ("position", "pixel"):
        assert found[f"{what}_error"] == pytest.approx(found[f"{what}_guess"], rel=0.05)
    assert found["position_top1"] < 12


def test_images_are_split_and_not_tokens() -> None:
    halves = Halves.of(11)
    first, second = halves.split(tokens(11, "nothing"))
    assert not set(first.images.tolist()) & set(second.images.tolist())
    assert (len(first), len(second)) == (15, 18)
    assert torch.equal(halves.learns, Halves.of(11).learns)


def test_groups_are_thinned_to_the_same_number() -> None:
    few, many = tokens(5, "nothing"), tokens(30, "nothing")
    thinned, kept = equally_many(many, few)
    assert len(thinned) == len(kept) == 15
    assert thinned.images.min() == 0 and thinned.images.max() == 29, "evenly spread"


def test_a_class_is_told_from_a_token_that_knows_it() -> None:
    labels = torch.arange(200) % 4
    knows = torch.nn.functional.one_hot(labels, 4) + 0.1 * torch.randn(200, 4)
    learns = Halves.of(200).learns
    found = class_figure("cls", knows, labels, learns, 4)
    assert found.name == "class_top1_cls" and found.value == 100
    chance = class_figure("ordinary", torch.randn(200, 4), labels, learns, 4)
    assert chance.high is not None and chance.high < 60


def test_a_regression_is_ridge_on_standardised_inputs() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(50, 6)) * [1, 10, 100, 1, 1, 1] + 5
    targets = inputs @ generator.normal(size=(6, 3)) / 100 + generator.normal(size=(50, 3))
    queries = generator.normal(size=(9, 6))
    found = regress(torch.from_numpy(inputs), targets, torch.from_numpy(queries))
    mean, std = inputs.mean(axis=0), inputs.std(axis=0)
    candidates = [
        Ridge(50 * 10.0**power).fit((inputs - mean) / std, targets).predict((queries - mean) / std)
        for power in range(-5, 3)
    ]
    assert any(np.allclose(found, each) for each in candidates)
