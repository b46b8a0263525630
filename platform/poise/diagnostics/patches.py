"""Metrics of patch tokens: similarity of an image's patches, and patches with outlier norms.

In: the last tokens of B images with N patches each, and the norms of all tokens after the last
block. Out: 0-dimensional tensors on the same device. Next: ``poise.diagnostics.observe``.

Norms must be measured before the last norm layer. This layer makes all norms equal, so outliers
would no longer be visible. If tokens are not finite, the metrics are NaN. Only quantiles below an
infinite norm keep their value.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from poise.models.last_tokens import LastTokens

_QUANTILES = {"q50": 0.5, "q90": 0.9, "q99": 0.99, "max": 1.0}
_DEVIATIONS = 5.0  # robust standard deviations: one in three million of normal log norms is above
_LEAST_FACTOR = 2.0  # outliers have ten times the usual norm, so twice the norm is no outlier
_STD_OVER_MAD = 1.4826  # for a normal distribution
_ROUNDING = 1e-6  # standard deviation of ln norm that rounding of float32 causes


def patch_metrics(tokens: LastTokens) -> dict[str, Tensor]:
    """Computes every metric of this module that the tokens allow. Keys are the names in the log.

    Cosines use the tokens after the last norm layer. Norms use the tokens before this layer.
    """
    quantiles = norm_quantiles(tokens.patch_norms)
    numbers = {f"patches/norm_{name}": value for name, value in quantiles.items()}
    numbers["patches/norm_bimodality"] = norm_bimodality(tokens.patch_norms)
    numbers["patches/outlier_share"] = outlier_share(tokens.patch_norms)
    if tokens.patches.shape[1] > 1:
        numbers["patches/cosine"] = patch_cosine(tokens.patches)
    if tokens.class_tokens is not None:
        numbers["patches/cls_cosine"] = class_cosine(tokens.patches, tokens.class_tokens)
    if tokens.class_norms is not None:
        numbers["tokens/cls_norm"] = mean_norm(tokens.class_norms)
    if tokens.register_norms is not None:
        numbers["tokens/register_norm"] = mean_norm(tokens.register_norms)
    return numbers


def patch_cosine(patches: Tensor) -> Tensor:
    """Mean cosine between two different patches of an image; ``patches`` [B, N, D], N ≥ 2.

    Formula: Σ_i≠j x_i·x_j / (N² − N), for x the normalised patches. The code needs no loop over
    pairs, because Σ_ij x_i·x_j = ‖Σ_i x_i‖².

    Source: the similarity that Gram anchoring reduces in DINOv3 (arXiv 2508.10104). Cost: O(B·N·D).

    Healthy: the cosine falls as patches learn to differ, and then stays steady. Broken: the cosine
    rises during training, because patches represent the whole image instead of their own content.
    At 1 all patches are equal.
    """
    directions = normalize(patches.float(), dim=-1)
    num_patches = patches.shape[1]
    own = directions.square().sum((1, 2))
    all_pairs = directions.sum(1).square().sum(-1)
    return ((all_pairs - own) / (num_patches * (num_patches - 1))).mean()


def class_cosine(patches: Tensor, class_tokens: Tensor) -> Tensor:
    """Mean cosine between an image's class token [B, D] and its patches [B, N, D].

    Formula: mean over images and patches of c·x / (‖c‖ ‖x‖).

    Source: none, the metric is our own; DINOv3 (arXiv 2508.10104) shows that patches become similar
    to the class token when dense features get worse. Cost: O(B·N·D).

    Healthy: the cosine is steady and well below 1. Broken: the cosine rises during training
    together with ``patch_cosine``. Then the patches are copies of the class token.
    """
    return cosine_similarity(patches.float(), class_tokens.float()[:, None], dim=-1).mean()


def norm_quantiles(norms: Tensor) -> dict[str, Tensor]:
    """Median, 90th and 99th percentile and maximum of the patches' norms [B, N].

    Formula: quantiles of all ‖x‖₂ together, interpolated linearly between neighbours.

    Source: registers (arXiv 2309.16588, section 2.1, figure 3). Cost: one sort, O(B·N·ln(B·N)).

    Healthy: the maximum is at most a few times the median. Broken: the 99th percentile rises far
    above the median, to ten times the median in large models late in training. Then add registers.
    """
    levels = torch.tensor(list(_QUANTILES.values()), device=norms.device)
    found = torch.quantile(norms.float().flatten(), levels)
    return dict(zip(_QUANTILES, found.unbind(), strict=True))


def outlier_share(norms: Tensor) -> Tensor:
    """Share of patches with an outlier norm, from 0 to 1. The norms are [B, N].

    Formula: |{i : ln‖x_i‖ > median + max(5·1.4826·MAD, ln 2)}| / (B·N), with the median of ln‖x‖ of
    all given patches. MAD is the median distance from the median. The published limit of 150 was
    chosen by hand for one model, in which normal patches have norms below 100. With logarithms, the
    limit does not depend on the model's scale. A few outliers do not change the median and the MAD.
    If all norms are nearly equal, the factor of two (ln 2) prevents false outliers.

    Source: registers (arXiv 2309.16588, section 2.1); the limit is our own. Cost: two medians,
    O(B·N).

    Healthy: 0. Broken: 0.01 to 0.03 (published: 0.024). Such patches contain no information about
    their position. Then add registers (``backbone.num_registers``). Read this metric together with
    the quantiles.
    """
    logs = _logs(norms)
    median = logs.median()
    deviation = _STD_OVER_MAD * (logs - median).abs().median()
    limit = median + (_DEVIATIONS * deviation).clamp(min=math.log(_LEAST_FACTOR))
    share = (logs > limit).float().mean()
    return torch.where(logs.isfinite().all(), share, torch.nan)


def norm_bimodality(norms: Tensor) -> Tensor:
    """Sarle's coefficient of the logarithms of norms [B, N], above 0 and at most 1.

    Formula: (γ² + 1) / κ, of ln‖x‖. Here γ is the skewness and κ the kurtosis (3 for a normal
    distribution) of all given patches, without the correction for small samples. 1/3 means a normal
    distribution, 5/9 a uniform one, and 1 two values. 0 means norms that are equal up to rounding.
    The coefficient has two limitations. A long tail of the distribution alone raises the
    coefficient. And a very small number of outliers lowers the coefficient, because κ grows before
    γ² does. ``outlier_share`` detects such small numbers of outliers.

    Source: SAS/STAT user's guide, procedure CLUSTER; Pfister et al. (Frontiers in Psychology 4:700,
    2013). The two modes of norms are from registers (arXiv 2309.16588, section 2.1). Cost: O(B·N).

    Healthy: near 1/3. Broken: above 5/9, so there are two groups of patches. If ``outlier_share``
    is also above 0, the model uses the patches with large norms for global information. Then add
    registers.
    """
    logs = _logs(norms).double()
    apart = logs - logs.mean()
    second, third, fourth = (apart.pow(power).mean() for power in (2, 3, 4))
    found = (third.square() + second.pow(3)) / (second * fourth)
    return torch.where(second <= _ROUNDING**2, 0.0, found).float()


def mean_norm(norms: Tensor) -> Tensor:
    """Mean norm of tokens of one kind before the last norm layer, from norms [B] or [B, R].

    Formula: mean of ‖x‖₂; 0 or above.

    Source: registers (arXiv 2309.16588, section 3). Cost: O(B·R).

    Healthy: the norm is steady and similar to the patches' median. Registers have larger norms if
    they replace outlier patches (``outlier_share`` is then 0). Broken: the norm grows without end,
    as may happen before a run diverges. Or registers have the same norm as normal patches although
    there are outlier patches. Then the registers are not used.
    """
    return norms.float().mean()


def _logs(norms: Tensor) -> Tensor:
    """Computes the logarithms of all norms, as a 1-dimensional tensor.

    A norm of 0 gives a finite logarithm.
    """
    return norms.float().flatten().clamp(min=torch.finfo(torch.float32).tiny).log()
