"""Fits a linear classifier of patches, without a learning rate.

In: features of patches and the classes of their pixels. Out: one linear layer. Next:
``poise.evaluation.segmentation.report``.

The loss is the cross-entropy of every counted pixel of the patches, plus a penalty on the squared
weights. The loss is convex. So the result does not depend on initial weights, order or learning
rate.
"""

from typing import Final

import torch
from torch import Tensor, nn

PENALTIES: Final = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Strengths of the L2 penalty that are tried on standardised features, the strongest first."""

_WITHOUT_CHOICE = 1e-3  # penalty if there are too few images to choose
_HELD_OUT = 5  # every fifth image is held out to choose the penalty
_STEPS = 100  # largest number of L-BFGS iterations


def fit_classifier(features: Tensor, shares: Tensor, images: Tensor) -> tuple[nn.Linear, float]:
    """Fits a linear classifier, and chooses its penalty.

    A fifth of the images is held out to choose the penalty with the lowest cross-entropy. Then the
    classifier is fitted to all images with this penalty. The result is deterministic. Cost: about
    500 products of the features with the weights.

    Args:
        features: features of m patches, float32 [m, D].
        shares: share of each class among the pixels of a patch, [m, C]. Rows sum to 1.
        images: number of the image that each patch is from, int64 [m].

    Returns:
        A layer from raw features to C logits, without gradients, and the penalty.
    """
    mean, std = features.mean(dim=0), features.std(dim=0, correction=0)
    std = torch.where(std > 1e-6 * std.max(), std, 1.0)
    x, held_out = (features - mean) / std, images.to(features.device) % _HELD_OUT == 0
    shares = shares.to(features.device)
    penalty = _choose(x, shares, held_out)
    weight, bias = _minimise(x, shares, penalty, _zeros(x, shares))
    layer = nn.Linear(x.shape[1], shares.shape[1], device=x.device).requires_grad_(False)
    layer.weight.copy_((weight / std[:, None]).T)
    layer.bias.copy_(bias - (mean / std) @ weight)
    return layer, penalty


def _choose(x: Tensor, shares: Tensor, held_out: Tensor) -> float:
    """Finds the penalty with the lowest cross-entropy on the held-out images."""
    if held_out.all() or not held_out.any():
        return _WITHOUT_CHOICE
    known, losses = _zeros(x, shares), []
    for penalty in PENALTIES:
        known = _minimise(x[~held_out], shares[~held_out], penalty, known)
        losses.append(float(_cross_entropy(x[held_out], shares[held_out], *known)))
    return min(zip(losses, PENALTIES, strict=True))[1]


def _minimise(
    x: Tensor, shares: Tensor, penalty: float, start: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Minimises the loss with its penalty, and returns weights [D, C] and biases [C]."""
    weight, bias = (each.clone().requires_grad_() for each in start)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=_STEPS, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = _cross_entropy(x, shares, weight, bias) + penalty / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return weight.detach(), bias.detach()


def _cross_entropy(x: Tensor, shares: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return -(shares * (x @ weight + bias).log_softmax(dim=1)).sum(dim=1).mean()


def _zeros(x: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_zeros(x.shape[1], shares.shape[1]), x.new_zeros(shares.shape[1])
