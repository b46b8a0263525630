"""A linear probe without training: ridge regression on the classes, in closed form.

In: features and labels of a bank and of queries. Out: ``(name, value)`` pairs. Next: the log of a
run in training, where the probe is one eigenvalue problem on features that are there anyway.

Protocol ``ridge/poise-v1``: features are standardised with the bank's mean and standard deviation.
The indicator of each class is regressed on them with an intercept that is not shrunk. The penalty
is the one of ``PENALTIES`` (per bank image) with the highest leave-one-out accuracy *on the bank*,
and the larger one of two that are equal. Queries never choose. The probe orders backbones as a
trained linear probe does, with figures some points lower. It does not replace the published
protocols of ``poise evaluate``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from poise.evaluation.neighbours.samples import BankAndQueries

PROTOCOL = "ridge/poise-v1"

PENALTIES = tuple(10.0**power for power in range(-5, 3))
"""Penalties to try, for standardised features, whose variance is 1."""

_ROWS = 8192  # held in float64 at once


def ridge_probe(samples: BankAndQueries) -> Iterator[tuple[str, float]]:
    """Yields ``linear_top1``, the share of right answers in percent. Deterministic.

    A query that is itself in the bank (``own_rows``) is predicted exactly as if it were not.

    Range 0 to 100; NaN where a feature is not finite. Chance is 100/C for C classes.

    Healthy: above the figure of the randomly initialised backbone, and rising through training. It
    rises ahead of k-NN where a small part of the features separates the classes, as in a masked
    autoencoder. Broken: the share of the commonest class, as of a collapsed backbone.
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
    """The bank's part of the regression: m images, D features, C classes, in float64."""

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
        # An image in the bank adds to its own scores; the closed form removes that.
        leverage = 1 / len(bank.labels) + (x**2 / shrunk).sum(dim=1)
        own = F.one_hot(bank.labels[rows.clamp(min=0)], len(bank.frequencies))
        without = (scores - leverage[:, None] * own) / (1 - leverage[:, None])
        scores = torch.where(rows[:, None] >= 0, without, scores)
        hits += int((scores.argmax(dim=1) == its_labels).sum())
    return hits / len(labels)
