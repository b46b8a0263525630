"""Finds the norm above which a patch token is an outlier, from a histogram of norms.

In: norms of raw patch tokens (before the last norm layer), or a histogram of them. Out: a
``Threshold`` and a mask. Next: ``poise.evaluation.outliers.counts`` and
``poise.evaluation.outliers.outlier_positions``.

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
"""Limit of arXiv 2309.16588, set by hand for DINOv2's ViT-g/14.

Other models have norms of other sizes. So compare a share above this limit only with the paper.
"""

BIN: Final = 0.02
"""Width of a bin of ln norm. So norms have a precision of 2 %."""

EDGES: Final[NDArray[np.float64]] = np.exp(np.arange(-460, 692) * BIN)
"""Upper edges of the bins, from 1e-4 to 1e6.

The first bin also contains all smaller norms. One more bin contains the norms above the last edge.
"""

NUM_BINS: Final = len(EDGES) + 1

_REACH = 5  # standard deviation of the smoothing in bins: 0.1 of ln norm, 10 % of a norm
_ORDINARY_FROM = 0.5  # share of the median; a flat background may have a peak of shorter norms
_LEAST_FACTOR = 2.0  # outliers have at least twice the median norm; published ones have ten times
_DEPTH = 0.5  # largest height of a valley, as a share of the peak behind it
_DEVIATIONS = 3.0  # standard deviations of a count by which the peak is above the valley

Counts = NDArray[np.int64]
"""Number of tokens in each bin, [NUM_BINS]."""


@dataclass(frozen=True)
class Threshold:
    """Limit between ordinary tokens and outliers, with statistics of both groups."""

    limit: float
    """Norm above which a token is an outlier. It is infinite if the norms form one group."""

    median: float
    """Median of all norms, with 2 % precision."""

    outlier: float | None = None
    """Median norm of the outliers, with 2 % precision, or None without outliers."""

    separation: float | None = None
    """Ashman's D of the two groups' logarithms: √2·|μ₁ − μ₂| / √(σ₁² + σ₂²).

    Above 2 the groups hardly overlap. None without outliers.
    """

    @property
    def found(self) -> bool:
        """True if the norms form two groups."""
        return math.isfinite(self.limit)


def outlier_mask(norms: Tensor, threshold: Threshold | None = None) -> Tensor:
    """Marks the tokens that are outliers.

    Args:
        norms: ‖x‖₂ of raw patch tokens (before the last norm layer), of any shape, without [cls]
            and registers.
        threshold: threshold from ``find_threshold``. None computes it from these norms. Compute it
            once from the norms of many images, and use it for all batches.

    Returns:
        Mask, bool of the same shape on the same device. If all norms form one group, no token is
        an outlier, so every value is False.
    """
    threshold = threshold or find_threshold(count_norms(norms))
    return norms.double() > threshold.limit


def count_norms(norms: Tensor | NDArray[np.floating]) -> Counts:
    """Counts norms of any shape by bin. Counts of several batches may be added."""
    values = norms.detach().cpu().numpy() if isinstance(norms, Tensor) else norms
    return np.bincount(bins_of(values).reshape(-1), minlength=NUM_BINS)


def bins_of(norms: NDArray[np.floating]) -> NDArray[np.int64]:
    """Returns the bin of each norm. A norm is above ``EDGES[i]`` exactly if its bin is above i."""
    return np.searchsorted(EDGES, norms.astype(np.float64), side="left").astype(np.int64)


def find_threshold(counts: Counts) -> Threshold:
    """Finds the valley between ordinary tokens and outliers, if there is one.

    The histogram of ln norm is smoothed over 10 % of a norm. Ordinary tokens form the highest peak
    between half the median and twice the median. Outliers form another peak, at twice the median or
    more. The valley between the two peaks is at most half as high as the peak of the outliers. That
    peak is also higher than the valley by three standard deviations of a count, so it needs about a
    dozen tokens with similar norms. The limit is the middle of the deepest part of the valley.
    Otsu's method is not used, because it puts the limit among the ordinary tokens if outliers are
    rare (below about 1 %).

    Source: registers (arXiv 2309.16588, section 2.1, figure 3) for the two groups of norms. The
    rule is Poise's own. Cost: a filter over 1153 bins.

    Args:
        counts: histogram of norms with at least one token.

    Returns:
        The threshold. Its limit is infinite if there is only one group.
    """
    median = quantile_of(counts, 0.5)
    heights = gaussian_filter1d(counts.astype(np.float64), _REACH, mode="constant")
    heights *= 2 * _REACH + 1  # number of tokens within 10 % of a norm
    first = int(bins_of(np.array(median * _LEAST_FACTOR)))
    low = int(bins_of(np.array(median * _ORDINARY_FROM)))
    main = low + int(heights[low:first].argmax())
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
    """Returns the middle of the lowest stretch of the histogram.

    Empty bins can make this stretch long.
    """
    lowest = np.flatnonzero(heights <= heights.min() + 1e-9)
    return int(lowest[len(lowest) // 2])


def _between(counts: Counts, valley: int, median: float) -> Threshold:
    """Computes the threshold at the upper edge of a bin.

    The bin itself belongs to the ordinary tokens.
    """
    longer = counts.copy()
    longer[: valley + 1] = 0
    means, variances = zip(_moments(counts - longer), _moments(longer), strict=True)
    spread = math.sqrt(max(sum(variances), BIN**2 / 6))  # at least the spread of two bins
    return Threshold(
        limit=float(EDGES[valley]),
        median=median,
        outlier=quantile_of(longer, 0.5),
        separation=math.sqrt(2) * abs(means[0] - means[1]) / spread,
    )


def _moments(counts: Counts) -> tuple[float, float]:
    """Computes the mean and the variance of ln norm."""
    logs = np.arange(NUM_BINS) * BIN
    mean = float(np.average(logs, weights=counts))
    return mean, float(np.average((logs - mean) ** 2, weights=counts))


def quantile_of(counts: Counts, level: float) -> float:
    """Computes a quantile of norms from their histogram, with 2 % precision.

    ``level`` is 0 to 1.
    """
    sums = counts.cumsum()
    index = int(np.searchsorted(sums, level * sums[-1]))
    return float(EDGES[min(index, NUM_BINS - 2)] * math.exp(-BIN / 2))


def threshold_of(norms: Tensor) -> Threshold:
    """Finds the threshold from norms of any shape."""
    return find_threshold(count_norms(norms.detach().to(torch.float32)))
