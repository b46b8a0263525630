"""Metrics that compare several views of the same images.

In: features [V, B, D] of V ≥ 2 views of each of B images. Out: 0-dimensional tensors on the same
device. Next: ``poise.diagnostics.observe``; ``poise.evaluation.label_free`` uses LiDAR.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.diagnostics.spectrum import effective_rank, eigenvalues, is_rounding

_RIDGE = 1e-4  # δ of LiDAR, as published
_NOTHING = 1e-10  # a λ below this is rounding


def view_metrics(features: Tensor) -> dict[str, Tensor]:
    """Computes every metric of this module in float32. Keys are the names in the log."""
    return {"features/alignment": alignment(features), "features/lidar": lidar(features)}


def alignment(features: Tensor) -> Tensor:
    """Mean squared distance between two views of the same image.

    Formula: E‖x − y‖², over pairs of views of one image; x and y are L2-normalised. This is twice
    the unbiased variance of the views of an image, summed over dimensions.

    Source: Wang & Isola (arXiv 2005.10242, equation 2, α = 2). Range: 0 to 2·V/(V − 1). Cost:
    O(V·B·D).

    Healthy: well below 2·(1 − ``features/cosine_mean``), the mean squared distance between
    different images. Broken: equal to the distance between different images, so the features
    contain no information about the image. Or 0 while ``features/uniformity`` is 0, so all images
    have the same feature.
    """
    directions = normalize(features.float(), dim=-1)
    return 2 * directions.var(0, correction=1).sum(-1).mean()


def lidar(features: Tensor) -> Tensor:
    """LiDAR: effective number of directions that separate images but not views of an image.

    Formula: exp(−Σ p_i ln p_i), with p_i = λ_i / Σλ + 1e-7 and λ the eigenvalues of Σ_w^-½ Σ_b
    Σ_w^-½.

    As in linear discriminant analysis, each image is a class and its views are the examples. Σ_b is
    the covariance of the images' mean features. Σ_w is the covariance of views around these means,
    plus δ = 1e-4 on its diagonal. The code uses a Cholesky factor of Σ_w in float64, which gives
    the same eigenvalues as the symmetric root.

    The publication uses V = 50 views. For small V, this code adds one correction. The mean of V
    views still contains 1/V of the variance among the views. So Σ_b is too large by Σ_w / (V − 1),
    with Σ_w without δ. This part is subtracted, and a λ below 0 becomes 0. Without the correction
    and with few views, noise can get the highest rank. Example: with 1000 × 2 views of CIFAR-10, an
    untrained ViT had 103 and a trained MAE 99; with 1000 × 48 views they have 57 and 62.

    Source: LiDAR (arXiv 2312.04000, section 4). Range: 1 to min(B − 1, D). Cost: O(V·B·D²); for V,
    B, D = 2, 256, 384 it is 20 ms of one core.

    Healthy: a large part of min(B − 1, D), and rising. Compare values only for the same V, B, D and
    kind of views. If B·(V − 1) < D, the views do not vary in all directions. In the other
    directions Σ_w contains only δ, and noise raises the result. Then only the value 1 can be
    interpreted. Broken: 1. Then images differ along one line only, or not more than the views of
    one image. The value is NaN if a feature is not finite.
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
    # This variant reports failure in a tensor. So it neither raises an error nor waits for the
    # device.
    factor = torch.linalg.cholesky_ex(within + ridge).L
    half = torch.linalg.solve_triangular(factor, between, upper=False)
    whitened = torch.linalg.solve_triangular(factor, half.T, upper=False)  # [D, D]
    ratios = eigenvalues(whitened)
    return effective_rank(torch.where(ratios < _NOTHING, 0.0, ratios)).float()
