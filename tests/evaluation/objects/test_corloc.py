import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.evaluation.objects.corloc import best_overlaps, reference_boxes
from poise.evaluation.objects.figures import mean_figure, share_figure

SIDE = 12
boxes = st.tuples(*[st.integers(0, SIDE - 1)] * 2, *[st.integers(1, SIDE)] * 2).filter(
    lambda box: box[0] < box[2] and box[1] < box[3]
)


def pixels(box: tuple[int, ...]) -> np.ndarray:
    marked = np.zeros((SIDE, SIDE), dtype=bool)
    marked[box[1] : box[3], box[0] : box[2]] = True
    return marked


@pytest.mark.slow
@given(found=boxes, truths=st.lists(boxes, min_size=1, max_size=3))
def test_overlaps_are_those_of_counted_pixels(
    found: tuple[int, ...], truths: list[tuple[int, ...]]
) -> None:
    counted = max(
        (pixels(found) & pixels(truth)).sum() / (pixels(found) | pixels(truth)).sum()
        for truth in truths
    )
    (overlap,) = best_overlaps(np.array([found], float), np.array(truths, float))
    assert overlap == pytest.approx(counted)


def test_half_is_found_exactly() -> None:
    for side in (1, 3, 7, 100, 333):
        found = np.array([[0, 0, side, 2 * side]], dtype=float)
        truth = np.array([[0, 0, side, side]], dtype=float)
        assert best_overlaps(found, truth)[0] == 0.5


def test_an_empty_box_overlaps_nothing() -> None:
    nothing, truth = np.zeros((1, 4)), np.array([[0.0, 0, 4, 4]])
    assert best_overlaps(nothing, truth).tolist() == [0]


def test_guesses_have_the_mean_size_in_the_centre_and_the_whole_image() -> None:
    sizes = [np.array([100, 50]), np.array([40, 80])]
    truths = [np.array([[0.0, 0, 50, 10]]), np.array([[4.0, 0, 16, 48]])]  # 50 × 20 %, 30 × 60 %
    guesses = reference_boxes(sizes, truths)
    np.testing.assert_allclose(guesses[0], [[30, 15, 70, 35], [0, 0, 100, 50]])
    np.testing.assert_allclose(guesses[1], [[12, 24, 28, 56], [0, 0, 40, 80]])


def test_figures_have_intervals_and_a_single_image_has_none_of_a_mean() -> None:
    share = share_figure("corloc", np.array([True] * 8 + [False] * 2))
    assert (share.value, share.unit) == (80, "%")
    assert share.low == pytest.approx(49.0, abs=0.1)
    assert share.high == pytest.approx(94.3, abs=0.1)
    mean = mean_figure("iou", np.array([0.2, 0.4, 0.6]))
    half = 100 * 1.959964 * 0.2 / math.sqrt(3)
    assert mean.value == pytest.approx(40)
    assert mean.low == pytest.approx(40 - half)
    assert mean_figure("iou", np.array([0.5])).low is None
