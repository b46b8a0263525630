"""Counts of norms, compared with norms that are all at hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from poise.evaluation.outliers.counts import NormCounts
from poise.evaluation.outliers.threshold import find_threshold

BLOCKS, PATCHES = 3, 36


def some_norms(num_images: int, outliers: int = 2) -> NDArray[np.float64]:
    """Norms around 5 [n, blocks, N]; patches 7 and 8 of each second image are long at the end."""
    found = 5 * np.exp(0.2 * np.random.default_rng(0).normal(size=(num_images, BLOCKS, PATCHES)))
    found[::2, -1, 7 : 7 + outliers] = 60
    return found


def counted(norms: NDArray[np.float64], batch: int = 7) -> NormCounts:
    counts = NormCounts()
    for start in range(0, len(norms), batch):
        counts.add(norms[start : start + batch])
    return counts


def test_shares_and_places_are_those_of_all_norms() -> None:
    counts = counted(some_norms(40))
    threshold = find_threshold(counts.blocks[-1])
    assert counts.share(threshold)[0] == pytest.approx(1 / PATCHES)
    assert counts.share_of_images(threshold)[0] == 0.5
    assert counts.heat_map(threshold).tolist() == [0.0] * 7 + [0.5] * 2 + [0.0] * (PATCHES - 9)
    assert [find_threshold(each).found for each in counts.blocks] == [False, False, True]
    assert counts.share_in_block(2, threshold) == pytest.approx(1 / PATCHES)
    assert counts.share_in_block(0, threshold) == 0
    assert counts.mean_norms()[0] == pytest.approx(5, rel=0.1)
    assert counts.mean_norms()[7] == pytest.approx(17, rel=0.1)


def test_batches_of_any_size_give_the_same_counts() -> None:
    norms = some_norms(40)
    one, other = counted(norms, 40), counted(norms, 3)
    threshold = find_threshold(one.blocks[-1])
    assert one.share(threshold) == other.share(threshold)
    assert (one.places == other.places).all()


def test_the_published_limit_is_counted_by_itself() -> None:
    norms = some_norms(10)
    norms[3, -1, 4], norms[4, -1, 5] = 151, 149.9
    norms[4, 0, 5] = 999  # of another block
    assert counted(norms).share_above_published == pytest.approx(1 / (10 * PATCHES))


def test_outliers_that_come_together_leave_a_wider_interval() -> None:
    together, apart = np.full((400, 1, 36), 5.0), np.full((400, 1, 36), 5.0)
    together[:20, 0, :20] = 60  # 400 outliers in 20 images
    apart[:, 0, 3] = 60  # 400 outliers, one in each
    widths = []
    for norms in (together, apart):
        counts = counted(norms)
        share, low, high = counts.share(find_threshold(counts.blocks[-1]))
        assert share == pytest.approx(1 / 36) and low < share < high
        widths.append(high - low)
    assert widths[0] > 3 * widths[1]


def test_no_outliers_in_few_images_prove_little() -> None:
    few, many = counted(some_norms(20, outliers=0)), counted(some_norms(2000, outliers=0))
    threshold = find_threshold(few.blocks[-1])
    assert few.share(threshold)[:2] == many.share(threshold)[:2] == (0.0, 0.0)
    assert few.share(threshold)[2] == pytest.approx(0.16, abs=0.01), "as of 20 images"
    assert many.share(threshold)[2] < 0.002
