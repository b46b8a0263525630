"""Metrics of the distances between features of different images.

In: features [n, D] of the global batch, n at most about a thousand. Out: 0-dimensional tensors on
the same device. Next: ``poise.diagnostics.observe``.

All metrics use directions x = z/‖z‖ only, and all but ``feature_std`` share their cosines [n, n].
A feature that is 0 has no direction and stays 0, so its cosines are 0. If a feature is not finite,
every metric is NaN.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

_SHARPNESS = 2  # t of the uniformity, as published


def spread_metrics(features: Tensor) -> dict[str, Tensor]:
    """Every metric of this module, float32, by its logged name.

    A single image cannot be compared, so it has ``features/std`` only.
    """
    numbers = {"features/std": feature_std(features)}
    if len(features) < 2:
        return numbers
    directions = normalize(features.float(), dim=-1)
    cosines = directions @ directions.T
    return numbers | {
        "features/cosine_mean": cosine_mean(cosines),
        "features/cosine_max": cosine_max(cosines),
        "features/uniformity": uniformity(cosines),
        "features/self_clustering": self_clustering(cosines, features.shape[1]),
        "features/nn_distance": nn_distance(directions, cosines),
    }


def feature_std(features: Tensor) -> Tensor:
    """Mean over dimensions of the standard deviation of L2-normalised features.

    Formula: mean_d std_i x_id. Source: SimSiam (arXiv 2011.10566, section 4.1). Cost: O(n·D).

    Healthy: near 1/√D, the value of directions spread evenly over the sphere. Broken: 0, all
    images have one feature. A value well under 1/√D is normal at initialisation, where the
    features share a large common part.
    """
    return normalize(features.float(), dim=-1).std(0, correction=0).mean()


def cosine_mean(cosines: Tensor) -> Tensor:
    """Mean of cos(z_i, z_j) over pairs of different images; ``cosines`` [n, n], n ≥ 2.

    Formula: Σ_i≠j cos(z_i, z_j) / (n² − n). Source: none: ours, though customary. Cost: O(n²·D) for
    the cosines, for this whole module; the number itself is O(n²).

    Healthy: falls from near 1 at the start, where features share a common part, towards 0.
    Broken: 1, all images have one direction.
    """
    return _pairs(cosines).mean()


def cosine_max(cosines: Tensor) -> Tensor:
    """Largest cos(z_i, z_j) of two different images.

    Formula: max_i≠j cos(z_i, z_j). Source: none: ours, though customary. Cost: O(n²).

    Healthy: clearly under 1, unless the batch holds an image twice. Broken: 1 while the mean is
    still low: some images have begun to share a feature.
    """
    return _pairs(cosines).max()


def uniformity(cosines: Tensor) -> Tensor:
    """Uniformity: ln E exp(−2‖x_i − x_j‖²) over pairs of different images.

    Source: Wang & Isola (arXiv 2005.10242, equation 3, t = 2). Range: −8 to 0; evenly spread over
    a sphere of many dimensions it is −4 + 8/D. Cost: O(n²).

    Healthy: falls towards −4 and rests between −2 and −4. Broken: 0, all images have one direction.
    """
    squares = cosines.diagonal()
    distances = squares[:, None] + squares - 2 * cosines
    pairs = _pairs(-_SHARPNESS * distances.clamp(min=0))
    return pairs.logsumexp(0) - math.log(len(pairs))


def self_clustering(cosines: Tensor, dim: int) -> Tensor:
    """(‖XXᵀ‖² − E) / (n² − E), E = n + n(n − 1)/D what random directions give.

    The same, per pair: how far the mean squared cosine is from 1/D, random, to 1.

    Source: Tsitsulin et al. (arXiv 2305.16562). Cost: O(n²).

    Args:
        cosines: [n, n], n ≥ 2.
        dim: D; with one dimension there is nothing but 1 to be, and this is 0.

    Healthy: near 0; slightly below for directions that avoid each other. Broken: 1, all features
    lie on one line.
    """
    random = 1 / dim
    return (_pairs(cosines).square().mean() - random) / max(1 - random, random)


def nn_distance(directions: Tensor, cosines: Tensor) -> Tensor:
    """Mean of ‖x_i − x_nn(i)‖ to each image's nearest neighbour in the batch.

    Its logarithm is what KoLeo maximises. Source: Sablayrolles et al. (arXiv 1806.03198); DINOv2
    (arXiv 2304.07193). Range: 0 to √2 for evenly spread directions. Cost: O(n²).

    Healthy: steady; it falls with n, so compare only within one. Broken: 0, every image has a
    double: features have clumped, even where the clumps lie far apart.
    """
    others = cosines.masked_fill(_same(cosines), -torch.inf)
    # Subtracted, not taken from the cosines: their rounding would keep doubles apart.
    distances: Tensor = (directions - directions[others.argmax(1)]).norm(dim=-1)
    return distances.mean()


def _pairs(matrix: Tensor) -> Tensor:
    """The entries off the diagonal of [n, n], by memory alone: [n · (n − 1)]."""
    num_rows = len(matrix)
    return matrix.flatten()[1:].view(num_rows - 1, num_rows + 1)[:, :-1].flatten()


def _same(matrix: Tensor) -> Tensor:
    return torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)
