"""Norms of all tokens of a dataset, counted while they pass.

In: norms of batches. Out: histograms, shares of outliers with intervals, and a map of their places.
Next: ``poise.evaluation.outliers.measure``.

The threshold is known only at the end. So counts are kept for every bin of the norm: memory does
not grow with the images, and counts above any edge of a bin are exact.
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
"""Value, and the ends of its 95 % interval."""


@dataclass
class NormCounts:
    """Running counts of the norms of patches in every block, and of their places in the last."""

    num_images: int = 0
    num_patches: int = 0
    """N, of one image."""

    blocks: list[Counts] = field(default_factory=list)
    """Counts of norms after each block, first to last."""

    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, NUM_BINS), np.int64))
    """Counts of norms after the last block at each place, [N, NUM_BINS]."""

    above_published: int = 0
    """Patches of the last block above ``PUBLISHED_LIMIT``."""

    _squares: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))
    _images_with: NDArray[np.int64] = field(default_factory=lambda: np.zeros(NUM_BINS, np.int64))

    def add(self, norms: NDArray[np.floating]) -> None:
        """Adds norms of patches after each block, [B, blocks, N]."""
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
        longer = by_image[:, ::-1].cumsum(axis=1)[:, ::-1] - by_image  # above each bin
        self._squares += (longer**2).sum(axis=0)
        self._images_with += (longer > 0).sum(axis=0)

    def share(self, threshold: Threshold) -> Interval:
        """Share of patches that are outliers after the last block, from 0 to 1.

        The interval is Wilson's. Outliers of one image are not independent, so the number of
        patches is reduced accordingly. If there is no outlier, each image counts once.
        """
        edge = _edge(threshold)
        found = int(self.blocks[-1][edge + 1 :].sum())
        tokens = self.num_images * self.num_patches
        independent = tokens / self._design_effect(found, int(self._squares[edge]))
        low, high = _wilson(found / tokens, independent)
        return found / tokens, low, high

    @property
    def share_above_published(self) -> float:
        """Share of patches of the last block above ``PUBLISHED_LIMIT``, from 0 to 1."""
        return self.above_published / (self.num_images * self.num_patches)

    def share_in_block(self, index: int, threshold: Threshold) -> float:
        """Share of patches above a threshold after one block, from 0 to 1."""
        counts = self.blocks[index]
        return int(counts[_edge(threshold) + 1 :].sum()) / int(counts.sum())

    def share_of_images(self, threshold: Threshold) -> Interval:
        """Share of images with at least one outlier, from 0 to 1 (Wilson)."""
        found = int(self._images_with[_edge(threshold)])
        return found / self.num_images, *wilson_interval(found, self.num_images)

    def heat_map(self, threshold: Threshold) -> NDArray[np.float64]:
        """Share of images whose patch at each place is an outlier, [N]."""
        found = self.places[:, _edge(threshold) + 1 :].sum(axis=1)
        return np.asarray(found / self.num_images, dtype=np.float64)

    def mean_norms(self) -> NDArray[np.float64]:
        """Geometric mean of norms after the last block at each place, to 2 %, [N]."""
        logs = np.log(EDGES[0]) + np.arange(NUM_BINS) * BIN
        means = (self.places * logs).sum(axis=1) / self.places.sum(axis=1)
        return np.asarray(np.exp(means - BIN / 2))

    def _design_effect(self, found: int, squares: int) -> float:
        """Number of patches of one image that count as one independent patch, from 1 to N."""
        share = found / (self.num_images * self.num_patches)
        if not 0 < share < 1 or self.num_images < 2:
            return float(self.num_patches)
        mean = found / self.num_images
        variance = (squares - self.num_images * mean**2) / (self.num_images - 1)
        binomial = self.num_patches * share * (1 - share)
        return float(np.clip(variance / binomial, 1, self.num_patches))


def _edge(threshold: Threshold) -> int:
    """Finds the bin whose upper edge is the limit. Without a limit it is the last bin."""
    return int(bins_of(np.array(threshold.limit))) if threshold.found else NUM_BINS - 1


def _wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's interval of a share among a number of trials that need not be whole."""
    return wilson_interval(share * trials, trials)
