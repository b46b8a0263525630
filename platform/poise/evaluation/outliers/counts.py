"""Counts the norms of all tokens of a dataset, batch by batch.

In: norms of batches. Out: histograms, shares of outliers with intervals, and a map of their places.
Next: ``poise.evaluation.outliers.measure``.

The threshold is known only at the end. So a count is kept for every bin of a histogram of norms.
Memory does not grow with the number of images. Counts above the edge of a bin are exact.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from poise.evaluation.measurement import wilson_interval
from poise.evaluation.outliers.threshold import (
    BIN,
    EDGES,
    NUM_BINS,
    PUBLISHED_LIMIT,
    Counts,
    Threshold,
    bins_of,
    count_norms,
)

Interval = tuple[float, float, float]
"""Value, and the lower and upper end of its 95 % confidence interval."""


@dataclass
class NormCounts:
    """Histograms of patch norms: after every block, and by patch position after the last block."""

    num_images: int = 0
    num_patches: int = 0
    """Number of patches N of one image."""

    blocks: list[Counts] = field(default_factory=list)
    """Histograms of norms after each block, from first to last."""

    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, NUM_BINS), np.int64))
    """Histogram of norms after the last block for each patch position, [N, NUM_BINS]."""

    above_published: int = 0
    """Number of patches after the last block with a norm above ``PUBLISHED_LIMIT``."""

    _squares: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))
    _images_with: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))

    def add(self, norms: NDArray[np.floating]) -> None:
        """Adds the norms of patches after each block, [B, blocks, N]."""
        batch, num_blocks, self.num_patches = norms.shape
        self.num_images += batch
        if not self.blocks:
            self.blocks = [np.zeros(NUM_BINS, np.int64) for _ in range(num_blocks)]
            self.places = np.zeros((self.num_patches, NUM_BINS), np.int64)
        for counts, of_block in zip(self.blocks, norms.swapaxes(0, 1), strict=True):
            counts += count_norms(of_block)
        self._add_last(norms[:, -1])

    def _add_last(self, norms: NDArray[np.floating]) -> None:
        bins = bins_of(norms)  # [B, N]
        np.add.at(self.places, (np.arange(self.num_patches), bins), 1)
        self.above_published += int((norms > PUBLISHED_LIMIT).sum())
        by_image = np.zeros((len(norms), NUM_BINS), np.int64)
        np.add.at(by_image, (np.arange(len(norms))[:, None], bins), 1)
        longer = by_image[:, ::-1].cumsum(axis=1)[:, ::-1] - by_image  # patches above each bin
        self._squares += (longer**2).sum(axis=0)
        self._images_with += (longer > 0).sum(axis=0)

    def share(self, threshold: Threshold) -> Interval:
        """Computes the share of patches that are outliers after the last block, 0 to 1.

        The interval is a Wilson interval. Outliers of one image depend on each other, so the
        interval uses a reduced number of patches. If there is no outlier, each image counts as one
        patch.
        """
        edge = _edge(threshold)
        found = int(self.blocks[-1][edge + 1 :].sum())
        tokens = self.num_images * self.num_patches
        independent = tokens / self._design_effect(found, int(self._squares[edge]))
        low, high = _wilson(found / tokens, independent)
        return found / tokens, low, high

    @property
    def share_above_published(self) -> float:
        """Share of patches after the last block with a norm above ``PUBLISHED_LIMIT``, 0 to 1."""
        return self.above_published / (self.num_images * self.num_patches)

    def share_in_block(self, index: int, threshold: Threshold) -> float:
        """Computes the share of patches above a threshold after one block, 0 to 1."""
        counts = self.blocks[index]
        return int(counts[_edge(threshold) + 1 :].sum()) / int(counts.sum())

    def share_of_images(self, threshold: Threshold) -> Interval:
        """Computes the share of images with an outlier, 0 to 1, with its Wilson interval."""
        found = int(self._images_with[_edge(threshold)])
        return found / self.num_images, *wilson_interval(found, self.num_images)

    def heat_map(self, threshold: Threshold) -> NDArray[np.float64]:
        """Computes the share of images with an outlier at each patch position, [N]."""
        found = self.places[:, _edge(threshold) + 1 :].sum(axis=1)
        return np.asarray(found / self.num_images, dtype=np.float64)

    def mean_norms(self) -> NDArray[np.float64]:
        """Computes the geometric mean of norms after the last block at each patch position, [N].

        The norms have a precision of 2 %.
        """
        logs = np.log(EDGES[0]) + np.arange(NUM_BINS) * BIN
        means = (self.places * logs).sum(axis=1) / self.places.sum(axis=1)
        return np.asarray(np.exp(means - BIN / 2))

    def _design_effect(self, found: int, squares: int) -> float:
        """Computes how many patches of one image count as one independent patch, from 1 to N."""
        share = found / (self.num_images * self.num_patches)
        if not 0 < share < 1 or self.num_images < 2:
            return float(self.num_patches)
        mean = found / self.num_images
        variance = (squares - self.num_images * mean**2) / (self.num_images - 1)
        binomial = self.num_patches * share * (1 - share)
        return float(np.clip(variance / binomial, 1, self.num_patches))


def _edge(threshold: Threshold) -> int:
    """Returns the bin whose upper edge is the limit. Without a limit this is the last bin."""
    return int(bins_of(np.array(threshold.limit))) if threshold.found else NUM_BINS - 1


def _wilson(share: float, trials: float) -> tuple[float, float]:
    """Computes the Wilson interval of a share. The number of trials need not be whole."""
    return wilson_interval(share * trials, trials)
