import math

import pytest
import torch
from torch import Tensor

from poise.evaluation.neighbours.ridge import PENALTIES, ridge_probe
from poise.evaluation.neighbours.samples import BankAndQueries


def blobs(count: int, seed: int, noise: float = 0.5) -> tuple[Tensor, Tensor]:
    """Three classes along three of eight features, which have very different scales."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    features = noise * torch.randn(count, 8, generator=generator)
    features[torch.arange(count), labels] += 1
    return features * torch.logspace(-3, 3, 8) + 5, labels


def top1(bank: tuple[Tensor, Tensor], queries: tuple[Tensor, Tensor], **more: Tensor) -> float:
    ((name, value),) = ridge_probe(BankAndQueries(*bank, *queries, num_classes=3, **more))
    assert name == "linear_top1"
    return value


def test_classes_that_a_plane_separates_are_told_apart_whatever_their_scale() -> None:
    assert top1(blobs(500, 0, noise=0.1), blobs(200, 1, noise=0.1)) >= 99
    assert 85 < top1(blobs(500, 0), blobs(200, 1)) < 100


def test_features_that_say_nothing_give_the_commonest_class() -> None:
    constant = torch.ones(30, 4)
    labels = torch.tensor([0] * 20 + [1] * 10)
    assert top1((constant, labels), (constant, labels)) == pytest.approx(100 * 2 / 3)


def test_labels_by_chance_are_not_learned_by_heart() -> None:
    """With more features than images, a small penalty would fit the bank perfectly."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(120, 150, generator=generator)
    labels = torch.randint(0, 3, (120,), generator=generator)
    rows = torch.arange(120)
    assert top1((features, labels), (features, labels)) < 60
    assert top1((features, labels), (features, labels), own_rows=rows) < 50


def test_an_image_in_the_bank_is_predicted_as_if_it_were_not() -> None:
    """Against the slow way: one regression for each left-out image, of one penalty."""
    features, labels = blobs(40, 3, noise=1.5)
    for penalty in PENALTIES[2:6]:
        hits = 0
        center, scale = features.double().mean(0), features.double().std(0, correction=0)
        x = (features.double() - center) / scale
        for left_out in range(40):
            kept = torch.arange(40) != left_out
            design = torch.cat([torch.ones(39, 1).double(), x[kept]], 1)
            shrink = penalty * 40 * torch.eye(9).double()
            shrink[0, 0] = 0
            target = torch.nn.functional.one_hot(labels[kept], 3).double()
            beta = torch.linalg.solve(design.T @ design + shrink, design.T @ target)
            guess = torch.cat([torch.ones(1).double(), x[left_out]]) @ beta
            hits += int(guess.argmax() == labels[left_out])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("poise.evaluation.neighbours.ridge.PENALTIES", (penalty,))
            found = top1((features, labels), (features, labels), own_rows=torch.arange(40))
        assert found == pytest.approx(100 * hits / 40)


def test_a_backbone_that_diverged_has_no_accuracy() -> None:
    features, labels = blobs(20, 0)
    features[3, 2] = torch.inf
    assert math.isnan(top1((features, labels), (features, labels)))
