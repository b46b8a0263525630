"""The fitted classifier, beside scikit-learn's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from poise.evaluation.segmentation.classifier import (
    PENALTIES,
    _cross_entropy,
    _minimise,
    fit_classifier,
)


def clouds(count: int = 600, overlap: float = 1.0) -> tuple[Tensor, Tensor]:
    """Three clouds of points in six dimensions, of which three mean nothing."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (count,), generator=draws)
    points = overlap * torch.randn(count, 6, generator=draws)
    points[:, :3] += 2 * F.one_hot(labels, 3)
    return points * torch.tensor([1.0, 10, 100, 1, 1, 1]) + 5, labels


def test_the_minimum_is_that_of_scikit_learn() -> None:
    points, labels = clouds()
    x = (points - points.mean(0)) / points.std(0, correction=0)
    zeros = (torch.zeros(6, 3), torch.zeros(3))
    weight, bias = _minimise(x, F.one_hot(labels, 3).float(), 1e-2, zeros)
    other = LogisticRegression(C=1 / (1e-2 * len(x)), tol=1e-8, max_iter=1000)
    other.fit(x.numpy().astype(np.float64), labels.numpy())
    np.testing.assert_allclose(weight.T.numpy(), other.coef_, atol=2e-3)
    ours = float(_cross_entropy(x, F.one_hot(labels, 3).float(), weight, bias))
    probabilities = other.predict_proba(x.numpy())
    theirs = -np.log(probabilities[np.arange(len(x)), labels.numpy()]).mean()
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_logits_are_of_raw_features_and_the_order_does_not_count() -> None:
    points, labels = clouds()
    shares, images = F.one_hot(labels, 3).float(), torch.arange(600) // 6
    layer, penalty = fit_classifier(points, shares, images)
    assert penalty in PENALTIES
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    right = (layer(points).argmax(1) == labels).float().mean()
    assert right > 0.75
    order = torch.randperm(600, generator=torch.Generator().manual_seed(1))
    again, _ = fit_classifier(points[order], shares[order], images[order])
    torch.testing.assert_close(again(points), layer(points), atol=5e-2, rtol=0)


def test_noise_gets_a_stronger_penalty_than_what_can_be_learned() -> None:
    points, labels = clouds(overlap=0.3)
    shares, images = F.one_hot(labels, 3).float(), torch.arange(600) // 6
    _, of_signal = fit_classifier(points, shares, images)
    noise = torch.randn(600, 200, generator=torch.Generator().manual_seed(2))
    _, of_noise = fit_classifier(noise, shares, images)
    assert of_noise == max(PENALTIES) > of_signal


def test_one_image_is_too_few_to_choose_a_penalty() -> None:
    points, labels = clouds()
    _, penalty = fit_classifier(points, F.one_hot(labels, 3).float(), torch.zeros(600).long())
    assert penalty == 1e-3


def test_patches_of_two_classes_count_for_both() -> None:
    x = torch.zeros(100, 2)
    shares = torch.tensor([[0.25, 0.75]]).expand(100, 2)
    layer, _ = fit_classifier(x, shares, torch.arange(100))
    torch.testing.assert_close(layer(x[:1]).softmax(1), shares[:1], atol=1e-3, rtol=0)
