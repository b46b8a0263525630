"""Measures where outliers are: next to similar patches, on flat background, at certain positions.

In: a ``TokenSample`` and a threshold. Out: metrics. Next: ``poise.evaluation.outliers.measure``.

Source: registers (arXiv 2309.16588, section 2.1, figure 5): outliers are patches that are similar
to their neighbours directly after the patch embedding. A model that stores global information in
patches uses patches with little information of their own.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.evaluation.measurement import ratio_interval
from poise.evaluation.outliers.sample import TokenSample
from poise.evaluation.outliers.threshold import Threshold, outlier_mask
from poise.evaluation.report import Figure

TOP_PLACES = 10
"""Number of positions that ``places_concentration`` counts. These are the positions with the most
outliers.
"""


def place_figures(sample: TokenSample, threshold: Threshold) -> Iterator[Figure]:
    """Yields how the surroundings of outliers differ from those of ordinary patches.

    ``neighbour_cosine_outlier`` and ``_ordinary`` are the mean cosine with the direct neighbours
    after the patch embedding. Healthy: there are no outliers. Published for outliers: near 1, far
    above the ordinary patches.

    ``similarity_rank_outlier`` and ``flatness_rank_outlier`` are the mean rank of outliers among
    the patches of their own image, from 0 to 100. Rank 100 is the patch that is most similar to its
    neighbours, or the patch with the least contrast. At 50, outliers are anywhere. Near 100, they
    are on background with little information, as published.
    """
    cosines, flatness = sample.outputs["cosines"], -sample.outputs["roughness"]
    outliers = outlier_mask(sample.norms, threshold)
    if outliers.any():
        yield _mean("neighbour_cosine_outlier", cosines, outliers, "")
    yield _mean("neighbour_cosine_ordinary", cosines, ~outliers, "")
    if outliers.any():
        yield _mean("similarity_rank_outlier", ranks(cosines), outliers, "%")
        yield _mean("flatness_rank_outlier", ranks(flatness), outliers, "%")


def background_figures(background: Tensor, outliers: Tensor) -> Iterator[Figure]:
    """Yields the share of outliers on background, and the same share of all patches.

    Args:
        background: share of background in each patch, 0 to 1, [n, N]. NaN marks unknown shares.
        outliers: whether each patch is an outlier, bool [n, N].
    """
    known = ~background.isnan()
    values = 100 * background.nan_to_num()
    for name, chosen in (("background_outlier", outliers & known), ("background_all", known)):
        if chosen.any():
            yield _mean(name, values, chosen, "%")


def places_concentration(heat_map: NDArray[np.float64]) -> Figure:
    """Computes the share of outliers at the ten most frequent places, in percent.

    The share is 1000/N % if outliers are anywhere, and 100 % if they are at no more than ten
    places. Outliers at few places can come from a fault of the position embedding (published:
    vertical stripes).

    Args:
        heat_map: share of images with an outlier at each place, [N], with a sum above 0.
    """
    top = np.sort(heat_map)[-TOP_PLACES:].sum() / heat_map.sum()
    return Figure("places_concentration", 100 * float(top))


def ranks(values: Tensor) -> Tensor:
    """Ranks the patches of each image by a value, from 0 for the smallest to 100 for the largest.

    Patches with equal values share their mean rank.

    Args:
        values: value of each of the N patches of n images, [n, N].
    """
    ordered = values.sort(dim=1).values
    below = _count(ordered, values, right=False)
    up_to = _count(ordered, values, right=True)
    return 100 * (below + up_to - 1) / 2 / max(1, values.shape[1] - 1)


def _count(ordered: Tensor, values: Tensor, right: bool) -> Tensor:
    return torch.searchsorted(ordered, values.contiguous(), right=right).double()


def _mean(name: str, values: Tensor, chosen: Tensor, unit: str) -> Figure:
    """Computes the mean over the chosen patches, with an interval over images."""
    sums = (values.double() * chosen).sum(dim=1).numpy()
    mean, low, high = ratio_interval(sums, chosen.sum(dim=1).double().numpy())
    return figure(name, (mean, low, high), unit)


def figure(name: str, interval: tuple[float, float, float], unit: str = "%") -> Figure:
    """Makes a figure from a value and the ends of its interval. NaN ends mean no interval."""
    value, low, high = interval
    if np.isnan(low):
        return Figure(name, value, unit)
    return Figure(name, value, unit, low, high)
