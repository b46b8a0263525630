"""Metrics of the spectrum of features: how many directions they use.

In: features [n, D] of the global batch. Out: 0-dimensional tensors on the same device. Next:
``poise.diagnostics.observe``; ``poise.evaluation.label_free`` takes RankMe.

Letters: n images, D dimensions, m = min(n, D); σ_i the singular values of the raw features, λ_i the
eigenvalues of their covariance, both falling. Both come from the m × m Gram matrix in float64: at
512 × 384 all of this module takes 25 ms of one core, at 1024 × 768 160 ms, less than one singular
value decomposition of the features in float32. A σ below 1e-8 of the largest is rounding.

A spectrum has no scale. Where features are equal but for rounding (a variance below 1e-12 of the
mean square), it would be that of the rounding, so all λ count as 0; noise above that, as of
bfloat16, looks like many directions, and ``features/std`` near 0 is what tells. Values compare
within one n and D only. Of features that are not finite every number is NaN.
"""

import torch
from torch import Tensor

FLOOR = -27.0
"""Smallest ln(λ_i/λ_1), about 1e-12: what lies below is rounding."""

_ROUNDING = 1e-12  # share of the mean square below which a variance is rounding
_TINY = 1e-300  # stands for 0 in a denominator
_FIT_FROM, _FIT_TO = 5, 100


def spectrum_metrics(features: Tensor) -> dict[str, Tensor]:
    """Every metric of this module, float32, by its logged name.

    Metrics that need more than min(n − 1, D) directions are left out: later points of the spectrum,
    and the slope of a single eigenvalue.
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
    """σ of the raw features [n, D], falling: float64 [m]. Cost: O(n·D·m)."""
    return eigenvalues(_smaller_gram(features.double())).sqrt()


def covariance_eigenvalues(features: Tensor) -> Tensor:
    """λ of the features' covariance, falling: float64 [min(n − 1, D)], and one for a single row.

    All 0 where the features are equal but for rounding. Cost: O(n·D·m).
    """
    matrix = features.double()
    num_rows, num_columns = matrix.shape
    variances = eigenvalues(_smaller_gram(matrix - matrix.mean(0))) / num_rows
    variances = torch.where(is_rounding(variances.sum(), matrix), 0.0, variances)
    return variances[: max(1, min(num_rows - 1, num_columns))]


def is_rounding(variance: Tensor, features: Tensor) -> Tensor:
    """Whether a variance, summed over D, is so small beside features [n, D] that it is rounding."""
    return variance <= _ROUNDING * features.square().sum() / len(features)


def eigenvalues(symmetric: Tensor) -> Tensor:
    """Falling, none negative; all NaN where the matrix is not finite, which the solver rejects."""
    finite = symmetric.isfinite().all()
    rising = torch.linalg.eigvalsh(torch.where(finite, symmetric, 0.0))
    return torch.where(finite, rising.flip(-1).clamp(min=0), torch.nan)


def rankme(singular: Tensor) -> Tensor:
    """RankMe: exp(−Σ p ln p), p_i = σ_i / Σσ + 1e-7; without centring.

    Source: RankMe (arXiv 2210.02885, equation 1). Cost: none beyond ``singular_values``.

    Healthy: a good part of m, which bounds it. Broken: 1, all features on one line, of whatever
    length; a fall during training is dimensional collapse.
    """
    return effective_rank(singular)


def effective_rank(values: Tensor) -> Tensor:
    """Number of non-negative values that carry the sum: exp of the entropy of their shares.

    Shares are p_i = v_i / Σv + 1e-7, as in RankMe and LiDAR. From 1, also where all are 0, to the
    number of values.
    """
    shares = values / values.sum().clamp(min=_TINY) + 1e-7
    rank: Tensor = torch.special.entr(shares).sum().exp()
    return rank


def participation_ratio(variances: Tensor) -> Tensor:
    """(Σλ)² / Σλ²: how many equal eigenvalues would have this spread.

    Source: the spectrum's view of dimensional collapse is Jing et al. (arXiv 2110.09348); the ratio
    is the inverse of Herfindahl's index of λ. Cost: none beyond ``covariance_eigenvalues``.

    Healthy: well above 1, though far below RankMe, as squares favour the first few directions.
    Broken: 1, images differ along one line; 0, they do not differ.
    """
    return variances.sum().square() / variances.square().sum().clamp(min=_TINY)


def nesum(variances: Tensor) -> Tensor:
    """NESum: Σλ / λ_1, the variance in units of the largest direction's.

    Source: He & Ozay (ICML 2022, "Exploring the gap between collapsed & whitened features").
    Cost: none beyond ``covariance_eigenvalues``.

    Healthy: well above 1; D for whitened features. Broken: 1, images differ along one line; 0, they
    do not differ.
    """
    return variances.sum() / variances[0].clamp(min=_TINY)


def stable_rank(singular: Tensor) -> Tensor:
    """Σσ² / σ_1²: NESum without centring, so that a common part of all images counts.

    Source: Tsitsulin et al. (arXiv 2305.16562). Cost: none beyond ``singular_values``.

    Healthy: rises from near 1, where an untrained backbone's features share most of their length.
    Broken: rests on 1, or returns there; 0, all features are 0.
    """
    squares = singular.square()
    return squares.sum() / squares[0].clamp(min=_TINY)


def condition(singular: Tensor) -> Tensor:
    """σ_m / σ_1: the inverse condition number, from 0 to 1.

    Source: Tsitsulin et al. (arXiv 2305.16562). Cost: none beyond ``singular_values``.

    Healthy: above 1e-4 or so where n is several times D, and steady. Broken: at 1e-8, the least
    that can be told from 0, at least one direction is unused.
    """
    return singular[-1] / singular[0].clamp(min=_TINY)


def spectrum(variances: Tensor) -> dict[int, Tensor]:
    """ln(λ_i / λ_1) at i = 2, 4, 8, …: the curve of the spectrum, as far as it goes.

    From 0 down to ``FLOOR``, which stands for nothing; where features are equal all are that.
    Source: the curve is that of Jing et al. (arXiv 2110.09348, figure 2), of λ for its σ.
    Cost: none beyond ``covariance_eigenvalues``.

    Healthy: a slow fall. Broken: a cliff to the floor, at the number of directions that are left.
    """
    logs = _log_ratios(variances)
    return {2**power: logs[2**power - 1] for power in range(1, len(logs).bit_length())}


def alpha_req(variances: Tensor) -> Tensor:
    """α-ReQ: the exponent of λ_i ∝ i^−α, fitted to ln λ_i over ln i with weights 1/i.

    The fit is over i = 5 … 100, as far as eigenvalues go; from i = 1 where there are fewer than
    ten, or where the fifth is 0 already: a fit that sees nothing but the floor would be flat.

    Source: Agrawal et al. (NeurIPS 2022, "α-ReQ"). Cost: none beyond ``covariance_eigenvalues``.

    Args:
        variances: λ, at least two.

    Healthy: near 1. Broken: far above, few directions are left (above 10: a cliff to the floor);
    near 0 the spectrum is flat, as that of noise is when n is far above D.
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
    """max_i ‖U_i‖² · n/m, U the left singular vectors: how far one image has directions of its own.

    The squared norms of U's rows (leverages) come from a Cholesky factor of the Gram matrix, to
    whose diagonal 1e-12 of its trace is added: directions below that do not count.

    Source: Tsitsulin et al. (arXiv 2305.16562). Range: (0, n/m], and 0 where all features are.
    Cost: O(n·D·m).

    Healthy: near 1, all images take part in all directions; always 1 for n ≤ D independent
    features. Broken: near n/D, a few images own directions alone; below 1, there are fewer than m
    directions: for equal rows it is 1/m.
    """
    matrix = features.double()
    return _coherence(matrix, _smaller_gram(matrix))


def _coherence(matrix: Tensor, gram: Tensor) -> Tensor:
    ridge = (_ROUNDING * gram.trace()).clamp(min=_TINY)
    # The variant that reports failure in a tensor neither raises nor waits for the device.
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
    # Where λ_1 is 0 too, the others are still nothing.
    return torch.cat([ratios[:1], torch.where(variances[0] == 0, FLOOR, ratios[1:])])


def _smaller_gram(matrix: Tensor) -> Tensor:
    """ZᵀZ or ZZᵀ, whichever is smaller: their eigenvalues differ in zeros alone."""
    return matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T
