"""Whether patches still tell where they are, and whether some have been turned into scratch paper.

In: patch tokens [B, N, D], class tokens [B, D], and the norms [B, N] of patch tokens as the last
block leaves them. Out: 0-dimensional tensors on the same device. Next:
``poise.diagnostics.observe``.

Norms must be those in front of the last norm, which would make all alike: through it no outlier of
the published models shows. Of tokens that are not finite every number is NaN.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

_QUANTILES = {"q50": 0.5, "q90": 0.9, "q99": 0.99, "max": 1.0}
_DEVIATIONS = 5.0  # of a robust standard deviation: of normal log norms one in three million
_LEAST_FACTOR = 2.0  # outliers are ten times as long as the rest, so half of that is none
_STD_OVER_MAD = 1.4826  # of a normal distribution


def patch_metrics(
    patches: Tensor, class_tokens: Tensor | None, norms: Tensor | None
) -> dict[str, Tensor]:
    """Every number that there is something to take it from, by the name under which it is logged.

    Args:
        patches: [B, N, D], as features are read: after the last norm.
        class_tokens: [B, D], likewise; none for a backbone without.
        norms: [B, N] L2 norms of the patches before the last norm; none where they are not known.
    """
    numbers = {}
    if patches.shape[1] > 1:
        numbers["patches/cosine"] = patch_cosine(patches)
    if class_tokens is not None:
        numbers["patches/cls_cosine"] = class_cosine(patches, class_tokens)
    if norms is not None:
        quantiles = norm_quantiles(norms)
        numbers |= {f"patches/norm_{name}": value for name, value in quantiles.items()}
        numbers["patches/outlier_share"] = outlier_share(norms)
    return numbers


def patch_cosine(patches: Tensor) -> Tensor:
    """Mean cosine of two different patches of one image; ``patches`` [B, N, D], N ≥ 2.

    The pairs are never formed: Σ_ij x_i·x_j = ‖Σ_i x_i‖², for x the normalised patches.

    Source: what Gram anchoring mends in DINOv3 (arXiv 2508.10104). Cost: O(B·N·D).

    Healthy: falls as patches learn to differ, then steady. Broken: rising through training, patches
    take on what the whole image says and lose their place; 1, all are alike.
    """
    directions = normalize(patches.float(), dim=-1)
    num_patches = patches.shape[1]
    own = directions.square().sum((1, 2))
    all_pairs = directions.sum(1).square().sum(-1)
    return ((all_pairs - own) / (num_patches * (num_patches - 1))).mean()


def class_cosine(patches: Tensor, class_tokens: Tensor) -> Tensor:
    """Mean cosine of an image's class token [B, D] and each of its patches [B, N, D].

    Source and cost as of ``patch_cosine``.

    Healthy: steady and well under 1. Broken: rising through training together with
    ``patch_cosine``, patches repeat the class token.
    """
    return cosine_similarity(patches.float(), class_tokens.float()[:, None], dim=-1).mean()


def norm_quantiles(norms: Tensor) -> dict[str, Tensor]:
    """Median, 90th and 99th percentile and largest of the patches' norms [B, N].

    Source: registers (arXiv 2309.16588, section 2.1, figure 3). Cost: one sort.

    Healthy: the largest within a few times the median. Broken: the 99th percentile parts from the
    median, to ten times it in large models late in training: add registers.
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

    Source: registers (arXiv 2309.16588, section 2.1). Cost: two medians.

    Healthy: 0. Broken: 0.01 to 0.03 (published: 0.024), patches that hold nothing of their place;
    add registers (``backbone.num_registers``). Read it beside the quantiles.
    """
    logs = norms.float().flatten().clamp(min=torch.finfo(torch.float32).tiny).log()
    median = logs.median()
    deviation = _STD_OVER_MAD * (logs - median).abs().median()
    limit = median + (_DEVIATIONS * deviation).clamp(min=math.log(_LEAST_FACTOR))
    share = (logs > limit).float().mean()
    return torch.where(logs.isfinite().all(), share, torch.nan)
