"""Metrics of patch tokens: how alike the patches of an image are, and which have outlier norms.

In: the last tokens of B images with N patches each, and the norms of all tokens as the last block
leaves them. Out: 0-dimensional tensors on the same device. Next: ``poise.diagnostics.observe``.

Norms must be taken before the last norm layer, which makes them all equal and hides the outliers of
the published models. If tokens are not finite, the metrics are NaN, except quantiles below them.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from poise.models.last_tokens import LastTokens

_QUANTILES = {"q50": 0.5, "q90": 0.9, "q99": 0.99, "max": 1.0}
_DEVIATIONS = 5.0  # of a robust standard deviation: of normal log norms one in three million
_LEAST_FACTOR = 2.0  # outliers are ten times as long as the rest, so half of that is none
_STD_OVER_MAD = 1.4826  # of a normal distribution
_ROUNDING = 1e-6  # a standard deviation of ln norm that float32 makes by itself


def patch_metrics(tokens: LastTokens) -> dict[str, Tensor]:
    """Every metric of this module that the tokens allow, by its logged name.

    Directions are read after the last norm layer, lengths before it.
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
    """Mean cosine of two different patches of one image; ``patches`` [B, N, D], N ≥ 2.

    The pairs are never formed: Σ_ij x_i·x_j = ‖Σ_i x_i‖², for x the normalised patches.

    Source: what Gram anchoring mends in DINOv3 (arXiv 2508.10104). Cost: O(B·N·D).

    Healthy: falls as patches learn to differ, then steady. Broken: rising through training, patches
    take on the content of the whole image and lose their own; 1, all patches are equal.
    """
    directions = normalize(patches.float(), dim=-1)
    num_patches = patches.shape[1]
    own = directions.square().sum((1, 2))
    all_pairs = directions.sum(1).square().sum(-1)
    return ((all_pairs - own) / (num_patches * (num_patches - 1))).mean()


def class_cosine(patches: Tensor, class_tokens: Tensor) -> Tensor:
    """Mean cosine of an image's class token [B, D] and each of its patches [B, N, D].

    Formula: mean over images and patches of c·x / (‖c‖ ‖x‖).

    Source: none: ours as a metric; DINOv3 (arXiv 2508.10104) shows that patches become like the
    class token as dense features decay. Cost: O(B·N·D).

    Healthy: steady and well under 1. Broken: rising through training together with
    ``patch_cosine``, patches repeat the class token.
    """
    return cosine_similarity(patches.float(), class_tokens.float()[:, None], dim=-1).mean()


def norm_quantiles(norms: Tensor) -> dict[str, Tensor]:
    """Median, 90th and 99th percentile and largest of the patches' norms [B, N].

    Formula: quantiles of all ‖x‖₂ together, interpolated linearly between neighbours.

    Source: registers (arXiv 2309.16588, section 2.1, figure 3). Cost: one sort,
    O(B·N·ln(B·N)).

    Healthy: the largest is within a few times the median. Broken: the 99th percentile leaves the
    median behind, up to ten times it in large models late in training: add registers.
    """
    levels = torch.tensor(list(_QUANTILES.values()), device=norms.device)
    found = torch.quantile(norms.float().flatten(), levels)
    return dict(zip(_QUANTILES, found.unbind(), strict=True))


def outlier_share(norms: Tensor) -> Tensor:
    """Share of patches [B, N] whose norm stands apart from the rest, from 0 to 1.

    ln norm is above median + max(5·1.4826·MAD, ln 2), over all patches given; MAD is the median
    distance from the median. The published limit, 150, was set by hand for one model, whose
    ordinary patches are below 100 and outliers ten times as long; logarithms make it free of the
    model's scale, the median and MAD are not moved by the outliers, and the factor of two keeps
    patches that are all alike from having any.

    Source: registers (arXiv 2309.16588, section 2.1); the limit is ours. Cost: two medians,
    O(B·N).

    Healthy: 0. Broken: 0.01 to 0.03 (published: 0.024), patches that hold nothing of their place;
    add registers (``backbone.num_registers``). Read it beside the quantiles.
    """
    logs = _logs(norms)
    median = logs.median()
    deviation = _STD_OVER_MAD * (logs - median).abs().median()
    limit = median + (_DEVIATIONS * deviation).clamp(min=math.log(_LEAST_FACTOR))
    share = (logs > limit).float().mean()
    return torch.where(logs.isfinite().all(), share, torch.nan)


def norm_bimodality(norms: Tensor) -> Tensor:
    """Sarle's coefficient of the logarithms of norms [B, N]: (γ² + 1) / κ, above 0 and at most 1.

    γ is the skewness and κ the kurtosis (3 of a normal distribution) of all patches given, without
    the correction for few of them. 1/3: normal; 5/9: uniform; 1: two values. 0 stands for norms
    that are equal but for rounding. It is of moments, so that a long tail alone raises it, and it
    needs two groups of some size: the first few outliers lower it, as κ grows before γ² does, and
    ``outlier_share`` has seen them already.

    Source: SAS/STAT user's guide, procedure CLUSTER; Pfister et al. (Frontiers in Psychology 4:700,
    2013); that norms have two modes is of registers (arXiv 2309.16588, section 2.1). Cost: O(B·N).

    Healthy: near 1/3. Broken: above 5/9, two groups of patches; together with ``outlier_share``
    above 0 the longer ones have become scratch paper: add registers.
    """
    logs = _logs(norms).double()
    apart = logs - logs.mean()
    second, third, fourth = (apart.pow(power).mean() for power in (2, 3, 4))
    found = (third.square() + second.pow(3)) / (second * fourth)
    return torch.where(second <= _ROUNDING**2, 0.0, found).float()


def mean_norm(norms: Tensor) -> Tensor:
    """Mean length of tokens of one kind before the last norm layer, from norms [B] or [B, R].

    Formula: mean of ‖x‖₂; 0 or above.

    Source: what registers take over (arXiv 2309.16588, section 3). Cost: O(B·R).

    Healthy: steady, of the order of the patches' median; registers rise above it where they take
    over what patches were used for (``outlier_share`` back to 0). Broken: growing without end, as
    a residual stream may before it diverges; registers as long as ordinary patches while there are
    outliers, they are not used.
    """
    return norms.float().mean()


def _logs(norms: Tensor) -> Tensor:
    """The logarithms of all norms in one row; a norm of 0 gives a finite one."""
    return norms.float().flatten().clamp(min=torch.finfo(torch.float32).tiny).log()
