"""Metrics of the spectrum of features: how many directions the features use.

In: features [n, D] of the global batch. Out: 0-dimensional tensors on the same device. Next:
``poise.diagnostics.observe``; ``poise.evaluation.label_free`` uses RankMe.

Letters: n images, D dimensions, m = min(n, D). σ_i are the singular values of the raw features, and
λ_i are the eigenvalues of their covariance, both in descending order. Both are computed from an m ×
m Gram matrix in float64. On one CPU core, all metrics of this module need 25 ms for 512 × 384
features and 160 ms for 1024 × 768. A singular value decomposition of the features in float32 would
be slower. A σ below 1e-8 of the largest σ is only a rounding error.

These metrics do not depend on the scale of the features. If features are equal up to rounding (a
variance below 1e-12 of the mean square), all λ are set to 0. Otherwise the metrics would describe
the rounding errors. Larger rounding errors, for example from bfloat16, look like many directions.
In this case ``features/std`` is near 0. Compare values only for the same n and D. If features are
not finite, every metric is NaN.
"""

import torch
from torch import Tensor

FLOOR = -27.0
"""Smallest value of ln(λ_i/λ_1), for λ_i/λ_1 = 1e-12. Smaller ratios are rounding errors."""

_ROUNDING = 1e-12  # share of the mean square below which a variance is rounding
_TINY = 1e-300  # replaces 0 in a denominator
_FIT_FROM, _FIT_TO = 5, 100


def spectrum_metrics(features: Tensor) -> dict[str, Tensor]:
    """Computes every metric of this module in float32. Keys are the names in the log.

    Metrics that need more than min(n − 1, D) eigenvalues are left out. These are later points of
    the spectrum, and α-ReQ if there is only one eigenvalue.
    """
    matrix = features.double()
    gram = _smaller_gram(matrix)
    singular = eigenvalues(gram).sqrt()
    variances = covariance_eigenvalues(matrix)
    numbers = {
        "features/rankme": rankme(singular),
        "features/stable_rank": stable_rank(singular),
        "features/condition": condition(singular),
        "features/coherence": _coherence(matrix, gram),
        "features/participation_ratio": participation_ratio(variances),
        "features/nesum": nesum(variances),
    }
    if len(variances) > 1:
        numbers["features/alpha_req"] = alpha_req(variances)
    numbers |= {
        f"features/spectrum_{index:03d}": ratio for index, ratio in spectrum(variances).items()
    }
    return {name: value.float() for name, value in numbers.items()}


def singular_values(features: Tensor) -> Tensor:
    """Computes σ of the raw features [n, D], in descending order: float64 [m]. Cost: O(n·D·m)."""
    return eigenvalues(_smaller_gram(features.double())).sqrt()


def covariance_eigenvalues(features: Tensor) -> Tensor:
    """Computes λ of the features' covariance, in descending order: float64 [min(n − 1, D)].

    A single row has one λ. All λ are 0 if the features are equal up to rounding. Cost: O(n·D·m).
    """
    matrix = features.double()
    num_rows, num_columns = matrix.shape
    variances = eigenvalues(_smaller_gram(matrix - matrix.mean(0))) / num_rows
    variances = torch.where(is_rounding(variances.sum(), matrix), 0.0, variances)
    return variances[: max(1, min(num_rows - 1, num_columns))]


def is_rounding(variance: Tensor, features: Tensor) -> Tensor:
    """Returns True if a variance (summed over D) is only a rounding error of features [n, D]."""
    return variance <= _ROUNDING * features.square().sum() / len(features)


def eigenvalues(symmetric: Tensor) -> Tensor:
    """Computes eigenvalues in descending order.

    Negative values become 0. All are NaN if the matrix is not finite.
    """
    finite = symmetric.isfinite().all()
    rising = torch.linalg.eigvalsh(torch.where(finite, symmetric, 0.0))
    return torch.where(finite, rising.flip(-1).clamp(min=0), torch.nan)


def rankme(singular: Tensor) -> Tensor:
    """RankMe: the effective rank of the raw features, from 1 to m.

    Formula: exp(−Σ p_i ln p_i), with p_i = σ_i / Σσ + 1e-7; without centring.

    Source: RankMe (arXiv 2210.02885, equation 1). Cost: only that of ``singular_values``.

    Healthy: a large part of m, the upper limit. Broken: 1, so all features lie on one line. A fall
    during training means dimensional collapse.
    """
    return effective_rank(singular)


def effective_rank(values: Tensor) -> Tensor:
    """Effective number of non-negative values v: exp of the entropy of the shares v_i / Σv.

    Shares are p_i = v_i / Σv + 1e-7, as in RankMe and LiDAR. The result is between 1 and the number
    of values. If all values are 0, the result is 1.
    """
    shares = values / values.sum().clamp(min=_TINY) + 1e-7
    rank: Tensor = torch.special.entr(shares).sum().exp()
    return rank


def participation_ratio(variances: Tensor) -> Tensor:
    """Participation ratio of the eigenvalues: an effective number of directions.

    Formula: (Σλ)² / Σλ².

    Source: Jing et al. (arXiv 2110.09348) for the spectrum as a sign of dimensional collapse; the
    ratio is the inverse of Herfindahl's index of λ. Cost: only that of
    ``covariance_eigenvalues``.

    Healthy: well above 1, but far below RankMe, because squares give more weight to the first few
    directions. Broken: 1, so images differ along one line; or 0, so all images have the same
    features.
    """
    return variances.sum().square() / variances.square().sum().clamp(min=_TINY)


def nesum(variances: Tensor) -> Tensor:
    """NESum: the total variance divided by the variance of the largest direction.

    Formula: Σλ / λ_1.

    Source: He & Ozay (ICML 2022, "Exploring the gap between collapsed & whitened features"). Cost:
    only that of ``covariance_eigenvalues``.

    Healthy: well above 1; D for whitened features. Broken: 1, so images differ along one line; or
    0, so all images have the same features.
    """
    return variances.sum() / variances[0].clamp(min=_TINY)


def stable_rank(singular: Tensor) -> Tensor:
    """Stable rank: NESum without centring, so the mean of all features also counts.

    Formula: Σσ² / σ_1².

    Source: Tsitsulin et al. (arXiv 2305.16562). Cost: only that of ``singular_values``.

    Healthy: the rank rises from near 1, because the features of an untrained network have a large
    mean. Broken: the rank stays at 1 or returns to 1. If all features are 0, the rank is 0.
    """
    squares = singular.square()
    return squares.sum() / squares[0].clamp(min=_TINY)


def condition(singular: Tensor) -> Tensor:
    """Inverse condition number of the features, from 0 to 1.

    Formula: σ_m / σ_1.

    Source: Tsitsulin et al. (arXiv 2305.16562). Cost: only that of ``singular_values``.

    Healthy: steady and above about 1e-4, if n is several times D. Broken: 1e-8, the smallest value
    above 0. Then at least one direction is not used.
    """
    return singular[-1] / singular[0].clamp(min=_TINY)


def spectrum(variances: Tensor) -> dict[int, Tensor]:
    """Points of the spectrum at i = 2, 4, 8, …, up to the number of eigenvalues.

    Formula: ln(λ_i / λ_1). Values are from 0 down to ``FLOOR``. The value ``FLOOR`` means that λ_i
    is zero. If features are equal, all values are ``FLOOR``. Source: the curve of Jing et al.
    (arXiv 2110.09348, figure 2), with λ instead of σ. Cost: only that of
    ``covariance_eigenvalues``.

    Healthy: the values fall slowly with i. Broken: the values fall suddenly to ``FLOOR``. The i of
    this fall is the number of directions that are still used.
    """
    logs = _log_ratios(variances)
    return {2**power: logs[2**power - 1] for power in range(1, len(logs).bit_length())}


def alpha_req(variances: Tensor) -> Tensor:
    """α-ReQ: the exponent with which the eigenvalues fall.

    Formula: α in λ_i ∝ i^−α, fitted to ln λ_i over ln i with weights 1/i. The fit uses i = 5 … 100,
    or up to the number of eigenvalues. The fit begins at i = 1 if there are fewer than ten
    eigenvalues, or if the fifth is already 0. If the fit began at i = 5 in these cases, all its
    values could be ``FLOOR`` (the smallest value that is kept), and α would be 0.

    Source: Agrawal et al. (NeurIPS 2022, "α-ReQ"). Cost: only that of
    ``covariance_eigenvalues``.

    Args:
        variances: λ, at least two.

    Healthy: near 1. Broken: far above 1, so few directions are used. Above 10, the spectrum falls
    suddenly to ``FLOOR``. If α is near 0, the spectrum is flat, as for random noise with many
    more samples than dimensions.
    """
    logs = _log_ratios(variances)[:_FIT_TO]
    index = torch.arange(1, len(logs) + 1, device=logs.device, dtype=logs.dtype)
    weights = 1 / index
    if len(logs) >= 2 * _FIT_FROM:
        cut_off = (index < _FIT_FROM) & (logs[_FIT_FROM - 1] > FLOOR)
        weights = weights.masked_fill(cut_off, 0)
    weights = weights / weights.sum()
    abscissa = index.log() - (weights * index.log()).sum()
    return -(weights * abscissa * logs).sum() / (weights * abscissa.square()).sum()


def coherence(features: Tensor) -> Tensor:
    """Coherence: whether single images have their own directions; above 0 and at most n/m.

    Formula: max_i ‖U_i‖² · n/m, with U the left singular vectors. The squared norms of U's rows
    (leverages) are computed from a Cholesky factor of the Gram matrix. 1e-12 of the trace is added
    to its diagonal, so directions with a smaller variance do not count.

    Source: Tsitsulin et al. (arXiv 2305.16562). Range: (0, n/m]; 0 if all features are 0. Cost:
    O(n·D·m).

    Healthy: near 1, so all images use all directions. For n ≤ D independent features, the coherence
    is always 1. Broken: near n/D, so a few images have directions that no other image uses. Below
    1, there are fewer than m directions. For equal rows, the coherence is 1/m.
    """
    matrix = features.double()
    return _coherence(matrix, _smaller_gram(matrix))


def _coherence(matrix: Tensor, gram: Tensor) -> Tensor:
    ridge = (_ROUNDING * gram.trace()).clamp(min=_TINY)
    # This variant reports failure in a tensor. So it neither raises an error nor waits for the
    # device.
    factor = torch.linalg.cholesky_ex(gram + ridge * torch.eye(len(gram)).to(gram)).L
    if len(matrix) > len(gram):
        whitened = torch.linalg.solve_triangular(factor, matrix.T, upper=False)
        largest: Tensor = whitened.square().sum(0).max()
    else:
        largest = 1 - ridge * torch.cholesky_inverse(factor).diagonal().min()
    return largest * len(matrix) / len(gram)


def _log_ratios(variances: Tensor) -> Tensor:
    logs = variances.clamp(min=_TINY).log()
    ratios = (logs - logs[0]).clamp(min=FLOOR)
    # If λ_1 is also 0, the other ratios must be FLOOR.
    return torch.cat([ratios[:1], torch.where(variances[0] == 0, FLOOR, ratios[1:])])


def _smaller_gram(matrix: Tensor) -> Tensor:
    """Computes the smaller of the matrices ZᵀZ and ZZᵀ. Both have the same eigenvalues above 0."""
    return matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T
