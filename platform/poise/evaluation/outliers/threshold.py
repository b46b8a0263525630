"""Norm above which a patch token is an outlier, found from the norms themselves.

In: norms of raw patch tokens (before the last norm layer), or a histogram of them. Out: a
``Threshold`` and a mask. Next: ``poise.evaluation.outliers.counts`` and ``places``.

The paper on registers (arXiv 2309.16588, section 2.1) sets the limit by hand, to 150 for one model.
Here the limit is the valley between two groups of logarithms of norms. If norms form only one
group, there are no outliers, even if the group has a long tail.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks
from torch import Tensor

PUBLISHED_LIMIT: Final = 150.0
"""Limit of arXiv 2309.16588, set by hand for DINOv2's ViT-g/14. Other models have other
scales, so a share above it compares with the publication alone."""

BIN: Final = 0.02
"""Width of a bin of ln norm: norms are known to 2 %."""

EDGES: Final[NDArray[np.float64]] = np.exp(np.arange(-460, 692) * BIN)
"""Upper edges of the bins, from 1e-4 to 1e6. The first bin also holds all shorter norms, and the
bin behind the last edge all longer ones."""

NUM_BINS: Final = len(EDGES) + 1

_REACH = 5  # bins, the standard deviation of the smoothing: 0.1 of ln norm, so 10 % of a norm
_LEAST_FACTOR = 2.0  # published outliers are ten times as long as the rest
_DEPTH = 0.5  # a valley has at most this share of the height of the hump behind it
_DEVIATIONS = 3.0  # of a Poisson count, by which the hump is above the valley

Counts = NDArray[np.int64]
"""Tokens in each bin of ``EDGES``, [NUM_BINS]."""


@dataclass(frozen=True)
class Threshold:
    """Groups of some norms."""

    limit: float
    """Norm above it is an outlier. Infinite if the norms form one group."""

    median: float
    """Median of all norms, to 2 %."""

    outlier: float | None = None
    """Median norm of the outliers, to 2 %; None without outliers."""

    separation: float | None = None
    """Ashman's D of the two groups' logarithms: √2·|μ₁ − μ₂| / √(σ₁² + σ₂²). Above 2 the groups
    hardly overlap. None without outliers."""

    @property
    def found(self) -> bool:
        """Whether there are two groups."""
        return math.isfinite(self.limit)


def outlier_mask(norms: Tensor, threshold: Threshold | None = None) -> Tensor:
    """Marks the tokens that are outliers.

    Args:
        norms: ‖x‖₂ of raw patch tokens, before the last norm layer, of any shape. [cls] and
            registers do not belong to them.
        threshold: what ``find_threshold`` found; None finds it from these norms. Find it once, from
            the norms of many images, and use it for all batches.

    Returns:
        bool of the same shape on the same device; all False if norms form one group.
    """
    threshold = threshold or find_threshold(count_norms(norms))
    return norms.double() > threshold.limit


def count_norms(norms: Tensor | NDArray[np.floating]) -> Counts:
    """Counts norms of any shape by bin. Counts of several batches may be added."""
    values = norms.detach().cpu().numpy() if isinstance(norms, Tensor) else norms
    return np.bincount(bins_of(values).reshape(-1), minlength=NUM_BINS)


def bins_of(norms: NDArray[np.floating]) -> NDArray[np.int64]:
    """Bin of each norm. A norm is above ``EDGES[i]`` exactly if its bin is above i."""
    return np.searchsorted(EDGES, norms.astype(np.float64), side="left").astype(np.int64)


def find_threshold(counts: Counts) -> Threshold:
    """Finds the valley between ordinary tokens and outliers, if there is one.

    The histogram of ln norm is smoothed over 10 % of a norm. Outliers form a second peak, at twice
    the median or more. The valley before this peak has at most half of its height. The peak is also
    higher than the valley by three standard deviations of a count, so it needs about a dozen tokens
    with similar norms. The limit is the middle of the deepest part of the valley. If outliers are
    very rare (below about 1 %), Otsu's method would put the limit among the ordinary tokens.

    Source: registers (arXiv 2309.16588, section 2.1, figure 3) for the two groups of norms; the
    rule is our own. Cost: a filter over 1153 bins.

    Args:
        counts: counts of norms, at least one token.

    Returns:
        The limit, infinite if there is one group.
    """
    median = quantile_of(counts, 0.5)
    heights = gaussian_filter1d(counts.astype(np.float64), _REACH, mode="constant")
    heights *= 2 * _REACH + 1  # tokens within 10 % of a norm
    first = int(bins_of(np.array(median * _LEAST_FACTOR)))
    main = int(heights[:first].argmax())
    peaks, _ = find_peaks(np.append(heights, 0.0))
    for peak in peaks[peaks >= first]:
        valley = heights[main:peak].min()
        if _is_apart(float(heights[peak]), float(valley)):
            return _between(counts, main + _deepest(heights[main:peak]), median)
    return Threshold(math.inf, median)


def _is_apart(hump: float, valley: float) -> bool:
    higher = hump - valley > _DEVIATIONS * math.sqrt(hump + valley)
    return higher and valley <= _DEPTH * hump


def _deepest(heights: NDArray[np.float64]) -> int:
    """Middle of the lowest stretch, which is long if no token has such norms."""
    lowest = np.flatnonzero(heights <= heights.min() + 1e-9)
    return int(lowest[len(lowest) // 2])


def _between(counts: Counts, valley: int, median: float) -> Threshold:
    """Describes the groups on both sides of a bin; the bin itself belongs to the ordinary ones."""
    longer = counts.copy()
    longer[: valley + 1] = 0
    means, variances = zip(_moments(counts - longer), _moments(longer), strict=True)
    spread = math.sqrt(max(sum(variances), BIN**2 / 6))  # never below that of two bins
    return Threshold(
        limit=float(EDGES[valley]),
        median=median,
        outlier=quantile_of(longer, 0.5),
        separation=math.sqrt(2) * abs(means[0] - means[1]) / spread,
    )


def _moments(counts: Counts) -> tuple[float, float]:
    """Mean and variance of ln norm."""
    logs = np.arange(NUM_BINS) * BIN
    mean = float(np.average(logs, weights=counts))
    return mean, float(np.average((logs - mean) ** 2, weights=counts))


def quantile_of(counts: Counts, level: float) -> float:
    """Quantile of norms from their counts, to 2 %; ``level`` is from 0 to 1."""
    sums = counts.cumsum()
    index = int(np.searchsorted(sums, level * sums[-1]))
    return float(EDGES[min(index, NUM_BINS - 2)] * math.exp(-BIN / 2))


def threshold_of(norms: Tensor) -> Threshold:
    """Finds the threshold from norms of any shape, in one go."""
    return find_threshold(count_norms(norms.detach().to(torch.float32)))
