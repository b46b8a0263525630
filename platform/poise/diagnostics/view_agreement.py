"""Metrics of the agreement between views of one image, and of its number of directions.

In: features [V, B, D] of V ≥ 2 views of each of B images. Out: 0-dimensional tensors on the same
device. Next: ``poise.diagnostics.observe``; ``poise.evaluation.label_free`` takes LiDAR.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.diagnostics.spectrum import effective_rank, eigenvalues, is_rounding

_RIDGE = 1e-4  # δ of LiDAR, as published
_NOTHING = 1e-10  # a λ below this is rounding


def view_metrics(features: Tensor) -> dict[str, Tensor]:
    """Every metric of this module, float32, by its logged name."""
    return {"features/alignment": alignment(features), "features/lidar": lidar(features)}


def alignment(features: Tensor) -> Tensor:
    """Mean of ‖x − y‖² over pairs of views of one image, x and y L2-normalised.

    Over all pairs that is twice the unbiased variance among an image's views, summed over D.

    Source: Wang & Isola (arXiv 2005.10242, equation 2, α = 2). Range: 0 to 2·V/(V − 1).
    Cost: O(V·B·D).

    Healthy: well under 2·(1 − ``features/cosine_mean``), what different images have. Broken: equal
    to that, views say nothing of the image; or 0 with ``features/uniformity`` at 0, all images
    have one feature.
    """
    directions = normalize(features.float(), dim=-1)
    return 2 * directions.var(0, correction=1).sum(-1).mean()


def lidar(features: Tensor) -> Tensor:
    """LiDAR: the effective rank of Σ_w^-½ Σ_b Σ_w^-½, directions that tell images, not views.

    Each image is a class and its views are the examples: Σ_b is the covariance of the images'
    mean features, Σ_w that of views around them, plus δ = 1e-4 on its diagonal. The rank is
    exp(−Σ p ln p), p_i = λ_i / Σλ + 1e-7. Computed in float64 from a Cholesky factor of Σ_w, which
    has the same eigenvalues as the symmetric root.

    One thing is added to the publication, which takes V = 50. A mean of V views still holds 1/V of
    what differs among them: Σ_b has Σ_w / (V − 1) too much (Σ_w without δ). It is taken off, and a
    λ that falls below 0 is 0. Without that, few views rank noise first: of 1000 × 2 views of
    CIFAR-10, an untrained ViT scored 103 and a trained MAE 99; with 1000 × 48 views they are 57
    and 62.

    Source: LiDAR (arXiv 2312.04000, section 4). Range: 1 to min(B − 1, D). Cost: O(V·B·D²): at
    V, B, D = 2, 256, 384 20 ms of one core.

    Healthy: a good part of min(B − 1, D), and rising; compare only within one V, B and D, and one
    kind of views. With B·(V − 1) < D the deviations leave directions out, where δ alone decides and
    noise counts: then only 1 tells anything. Broken: 1, images differ along one line, or in no
    direction by more than their views do. NaN where a feature is not finite.
    """
    views = features.double()
    means = views.mean(0)  # [B, D]
    deviations = (views - means).flatten(0, 1)  # [V·B, D]
    within = deviations.T @ deviations / len(deviations)
    centred = means - means.mean(0)
    between = centred.T @ centred / len(means)
    between = torch.where(is_rounding(between.trace(), means), 0.0, between)
    between = between - within / (len(views) - 1)
    ridge = _RIDGE * torch.eye(len(within)).to(within)
    # The variant that reports failure in a tensor neither raises nor waits for the device.
    factor = torch.linalg.cholesky_ex(within + ridge).L
    half = torch.linalg.solve_triangular(factor, between, upper=False)
    whitened = torch.linalg.solve_triangular(factor, half.T, upper=False)  # [D, D]
    ratios = eigenvalues(whitened)
    return effective_rank(torch.where(ratios < _NOTHING, 0.0, ratios)).float()
