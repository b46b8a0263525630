"""Whether the backbone's features still tell images apart.

In: features [n, D] of the global batch. Out: 0-dimensional tensors. Next:
``poise.diagnostics.observe``.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def feature_std(features: Tensor) -> Tensor:
    """Mean over dimensions of the standard deviation of L2-normalised features.

    Source: SimSiam (arXiv 2011.10566, section 4.1). Cost: O(n·D).

    Healthy: near 1/√D, the value of directions spread evenly over the sphere. Broken: 0, all
    images have one feature. A value well under 1/√D is normal at initialisation, where the
    features share a large common part.
    """
    return normalize(features.float(), dim=-1).std(0, correction=0).mean()


def rankme(features: Tensor) -> Tensor:
    """RankMe: exp(−Σ p ln p), p_i = σ_i / Σσ + 1e-7, σ the singular values of the raw features.

    Source: RankMe (arXiv 2210.02885, equation 1); no centring. The singular values are roots of
    the smaller Gram matrix's eigenvalues in float64. Cost: O(n·D·min(n, D)).

    Healthy: a good part of min(n, D), which bounds it; compare only within one n and D. Broken:
    1, all features on one line; a fall during training is dimensional collapse. NaN where a
    feature is not finite.
    """
    matrix = features.double()
    finite = matrix.isfinite().all()
    matrix = torch.where(finite, matrix, torch.zeros_like(matrix))  # the solver rejects NaN
    gram = matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    shares = singular / singular.sum().clamp(min=torch.finfo(torch.float64).tiny) + 1e-7
    rank = torch.special.entr(shares).sum().exp()
    return torch.where(finite, rank, torch.full_like(rank, torch.nan)).float()
