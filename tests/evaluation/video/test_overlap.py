"""Region and boundary measures, beside dilation by a disk as published."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from poise.evaluation.video.overlap import boundary_measure, jaccard, outline


def blob(seed: int, shape: tuple[int, int] = (60, 80)) -> NDArray[np.bool_]:
    draws = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    middle = draws.uniform((15, 20), (45, 60))
    inside: NDArray[np.bool_] = ((rows - middle[0]) / 14) ** 2 + (
        (columns - middle[1]) / 19
    ) ** 2 < 1
    return inside


def slow_boundary(truth: NDArray[np.bool_], found: NDArray[np.bool_], share: float) -> float:
    reach = int(np.ceil(share * np.linalg.norm(truth.shape)))
    axis = np.arange(-reach, reach + 1)
    disk = axis[:, None] ** 2 + axis**2 <= reach**2
    of_truth, of_found = outline(truth), outline(found)
    precision = (of_found & binary_dilation(of_truth, disk)).sum() / of_found.sum()
    recall = (of_truth & binary_dilation(of_found, disk)).sum() / of_truth.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.008, 0.05])
def test_a_distance_is_dilation_by_a_disk(seed: int, share: float) -> None:
    truth, found = blob(seed), blob(seed + 100)
    assert boundary_measure(truth, found, share) == pytest.approx(
        slow_boundary(truth, found, share), abs=1e-12
    )


def test_the_outline_lies_at_the_upper_left_and_the_border_is_none() -> None:
    region = np.zeros((4, 5), dtype=bool)
    region[1:3, 1:3] = True
    assert outline(region).astype(int).tolist() == [
        [1, 1, 1, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert not outline(np.ones((4, 5), dtype=bool)).any()
    left = np.zeros((3, 4), dtype=bool)
    left[:, :2] = True
    assert outline(left).astype(int).tolist() == [[0, 1, 0, 0]] * 3


def test_equal_masks_score_1_and_an_empty_prediction_0() -> None:
    truth, nothing = blob(1), np.zeros((60, 80), dtype=bool)
    assert jaccard(truth, truth) == boundary_measure(truth, truth) == 1
    assert jaccard(truth, nothing) == boundary_measure(truth, nothing) == 0
    assert boundary_measure(nothing, truth) == 0
    assert jaccard(nothing, nothing) == boundary_measure(nothing, nothing) == 1


def test_jaccard_is_the_shared_area_over_the_area_of_either() -> None:
    truth, found = np.zeros((10, 10), dtype=bool), np.zeros((10, 10), dtype=bool)
    truth[:, :6], found[:, 4:] = True, True
    assert jaccard(truth, found) == pytest.approx(20 / 100)
