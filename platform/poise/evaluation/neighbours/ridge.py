"""Linear probe without training: ridge regression on the classes, solved in closed form.

In: features and labels of a bank (reference images) and of queries. Out: ``(name, value)`` pairs.
Next: the log of a training run. k-NN computes the features as well, so the probe adds only the cost
of one eigenvalue problem.

Protocol ``ridge/poise-v1``: features are standardised with the bank's mean and standard deviation.
A regression predicts the indicator of each class from the features. The intercept has no penalty.
The probe tries each penalty of ``PENALTIES`` (per bank image) and takes the penalty with the
highest leave-one-out accuracy *on the bank*. If two are equal, it takes the larger one. The queries
have no influence on this choice. The probe ranks backbones as a trained linear probe does, but its
accuracies are a few points lower. It does not replace the published protocols of
``poise evaluate``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from poise.evaluation.neighbours.samples import BankAndQueries

PROTOCOL = "ridge/poise-v1"

PENALTIES = tuple(10.0**power for power in range(-5, 3))
"""Strengths of the L2 penalty that the regression tries. Features are standardised, so their
variance is 1.
"""

_ROWS = 8192  # rows in float64 in memory at once


def ridge_probe(samples: BankAndQueries) -> Iterator[tuple[str, float]]:
    """Yields ``linear_top1``, the share of correct answers in percent. The result is deterministic.

    If a query is also in the bank (``own_rows``), it is predicted exactly as if the bank did not
    contain it.

    Range: 0 to 100. The value is NaN if a feature is not finite. Chance is 100/C for C classes.

    Healthy: the accuracy is above that of the untrained backbone and rises during training. It can
    rise earlier than k-NN if only a small part of the features separates the classes, as in a
    masked autoencoder. Broken: the accuracy equals the share of the most frequent class, as for a
    collapsed backbone.
    """
    bank_features, query_features = samples.bank_features, samples.query_features
    if not (bank_features.isfinite().all() and query_features.isfinite().all()):
        yield "linear_top1", float("nan")
        return
    device = bank_features.device
    bank = _Bank.of(bank_features, samples.bank_labels.to(device), samples.num_classes)
    every = torch.arange(len(bank_features), device=device)
    accuracies = [
        _accuracy(bank, penalty, bank_features, bank.labels, every) for penalty in PENALTIES
    ]
    best = max(zip(accuracies, PENALTIES, strict=True))[1]
    absent = torch.full((len(query_features),), -1, device=device)
    rows = absent if samples.own_rows is None else samples.own_rows.to(device)
    labels = samples.query_labels.to(device)
    yield "linear_top1", 100 * _accuracy(bank, best, query_features, labels, rows)


@dataclass(frozen=True)
class _Bank:
    """Statistics of the bank for the regression: m images, D features, C classes, in float64."""

    labels: Tensor  # [m]
    center: Tensor  # [D]
    scale: Tensor  # [D]
    frequencies: Tensor  # [C]
    axes: Tensor  # [D, D], columns
    weights: Tensor  # [D], eigenvalues
    crossed: Tensor  # [D, C], covariances with the classes along the axes

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, num_classes: int) -> "_Bank":
        center = features.double().mean(dim=0)
        scale = features.double().std(dim=0, correction=0)
        scale = torch.where(scale > 1e-9 * scale.max().clamp(min=1e-30), scale, 1.0)
        frequencies = torch.bincount(labels, minlength=num_classes).double() / len(labels)
        gram = center.new_zeros(len(center), len(center))
        crossed = center.new_zeros(len(center), num_classes)
        for part, its_labels in zip(features.split(_ROWS), labels.split(_ROWS), strict=True):
            x = (part.double() - center) / scale
            gram += x.T @ x
            crossed += x.T @ (F.one_hot(its_labels, num_classes).double() - frequencies)
        weights, axes = torch.linalg.eigh(gram)
        return cls(labels, center, scale, frequencies, axes, weights.clamp(min=0), axes.T @ crossed)


def _accuracy(
    bank: _Bank, penalty: float, features: Tensor, labels: Tensor, own_rows: Tensor
) -> float:
    """Computes the share of images whose class gets the highest score."""
    shrunk = bank.weights + penalty * len(bank.labels)
    coefficients = bank.crossed / shrunk[:, None]  # [D, C], along the axes
    hits = 0
    for part, its_labels, rows in zip(
        features.split(_ROWS), labels.split(_ROWS), own_rows.split(_ROWS), strict=True
    ):
        x = ((part.double() - bank.center) / bank.scale) @ bank.axes
        scores = bank.frequencies + x @ coefficients
        # An image of the bank contributes to its own scores. The closed form removes this
        # contribution.
        leverage = 1 / len(bank.labels) + (x**2 / shrunk).sum(dim=1)
        own = F.one_hot(bank.labels[rows.clamp(min=0)], len(bank.frequencies))
        without = (scores - leverage[:, None] * own) / (1 - leverage[:, None])
        scores = torch.where(rows[:, None] >= 0, without, scores)
        hits += int((scores.argmax(dim=1) == its_labels).sum())
    return hits / len(labels)
