"""Metrics of the distances between features of different images.

In: features [n, D] of the global batch, with n at most about a thousand. Out: 0-dimensional tensors
on the same device. Next: ``poise.diagnostics.observe``.

All metrics use only the directions x = z/‖z‖ of features z. All except ``feature_std`` are computed
from the cosines [n, n] of these directions. A feature of 0 has no direction, so its cosines are 0.
If a feature is not finite, every metric is NaN.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

_SHARPNESS = 2  # t of the uniformity, as published


def spread_metrics(features: Tensor) -> dict[str, Tensor]:
    """Computes every metric of this module in float32. Keys are the names in the log.

    With a single image there is only ``features/std``, because other metrics compare images.
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
    """Standard deviation of L2-normalised features, averaged over dimensions.

    Formula: mean_d std_i x_id. Source: SimSiam (arXiv 2011.10566, section 4.1). Cost: O(n·D).

    Healthy: near 1/√D, the value of directions that are evenly spread over the sphere. Broken: 0,
    so all images have the same feature. At initialisation a value well below 1/√D is normal,
    because the features have a large mean.
    """
    return normalize(features.float(), dim=-1).std(0, correction=0).mean()


def cosine_mean(cosines: Tensor) -> Tensor:
    """Mean of cos(z_i, z_j) over pairs of different images; ``cosines`` [n, n], n ≥ 2.

    Formula: Σ_i≠j cos(z_i, z_j) / (n² − n). Source: none, but the metric is common. Cost: O(n²·D)
    for the cosines, which the whole module shares, and O(n²) for the mean.

    Healthy: the mean falls from near 1 towards 0. It is near 1 at the start, because untrained
    features have a large mean. Broken: 1, so all images have the same direction.
    """
    return _pairs(cosines).mean()


def cosine_max(cosines: Tensor) -> Tensor:
    """Largest cos(z_i, z_j) of two different images.

    Formula: max_i≠j cos(z_i, z_j). Source: none, but the metric is common. Cost: O(n²).

    Healthy: clearly below 1, unless the batch contains an image twice. Broken: 1 while the mean is
    still low. Then some images already have the same feature.
    """
    return _pairs(cosines).max()


def uniformity(cosines: Tensor) -> Tensor:
    """Uniformity: how evenly directions are spread over the sphere. Low values mean even.

    Formula: ln E exp(−2‖x_i − x_j‖²), over pairs of different images.

    Source: Wang & Isola (arXiv 2005.10242, equation 3, t = 2). Range: −8 to 0. For directions that
    are evenly spread over a sphere of many dimensions it is −4 + 8/D. Cost: O(n²).

    Healthy: the value falls towards −4 and stays between −2 and −4. Broken: 0, so all images have
    the same direction.
    """
    squares = cosines.diagonal()
    distances = squares[:, None] + squares - 2 * cosines
    pairs = _pairs(-_SHARPNESS * distances.clamp(min=0))
    return pairs.logsumexp(0) - math.log(len(pairs))


def self_clustering(cosines: Tensor, dim: int) -> Tensor:
    """Self-clustering: the mean squared cosine, scaled from 0 (random directions) to 1 (one line).

    Formula: (‖XXᵀ‖² − E) / (n² − E), with E = n + n(n − 1)/D for random directions.

    Source: Tsitsulin et al. (arXiv 2305.16562). Cost: O(n²).

    Args:
        cosines: [n, n], n ≥ 2.
        dim: dimension D of the features. If D is 1, all squared cosines are 1 and the result is 0.

    Healthy: near 0. Directions that are more even than random give values slightly below 0. Broken:
    1, so all features lie on one line.
    """
    random = 1 / dim
    return (_pairs(cosines).square().mean() - random) / max(1 - random, random)


def nn_distance(directions: Tensor, cosines: Tensor) -> Tensor:
    """Mean distance from each image to its nearest neighbour in the batch.

    Formula: mean_i ‖x_i − x_nn(i)‖, with nn(i) the nearest other image. KoLeo maximises the
    logarithm of this distance. Source: Sablayrolles et al. (arXiv 1806.03198); DINOv2 (arXiv
    2304.07193). Range: 0 to √2 for evenly spread directions. Cost: O(n²).

    Healthy: steady. The distance is smaller for larger n, so compare values only for the same n.
    Broken: 0, so every image has the same feature as another image. Then features form clusters,
    even if the clusters are far apart.
    """
    others = cosines.masked_fill(_same(cosines), -torch.inf)
    # The vectors are subtracted. Distances from cosines would have rounding errors for equal
    # vectors.
    distances: Tensor = (directions - directions[others.argmax(1)]).norm(dim=-1)
    return distances.mean()


def _pairs(matrix: Tensor) -> Tensor:
    """Returns the entries of a matrix [n, n] without its diagonal, row by row: [n · (n − 1)]."""
    num_rows = len(matrix)
    return matrix.flatten()[1:].view(num_rows - 1, num_rows + 1)[:, :-1].flatten()


def _same(matrix: Tensor) -> Tensor:
    return torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)
