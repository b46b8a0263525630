import numpy as np
import pytest

from poise.evaluation.neighbours.average_precision import (
    average_precision,
    places_of,
    score_rankings,
)


def test_relevant_images_in_front_give_1_and_none_found_gives_0() -> None:
    assert average_precision([0, 1, 2], 3) == 1
    assert average_precision([], 3) == 0


def test_the_area_is_that_of_trapezoids() -> None:
    # Precision is 0 before and 1/2 at the second place: the mean of both over the whole recall.
    assert average_precision([1], 1) == pytest.approx(0.25)
    assert average_precision([0, 2], 2) == pytest.approx((1 + 1) / 4 + (1 / 2 + 2 / 3) / 4)


def test_a_junk_image_does_not_push_others_back() -> None:
    ranking = np.array([7, 3, 5, 1])
    assert places_of(ranking, [3, 1], [7]).tolist() == [0, 2]
    scores = score_rankings(ranking[:, None], [[3]], [[7]])
    assert scores.map == 1
    assert scores.mean_precision == (1, 1, 1), "a query stops at its last relevant image"


def test_a_query_without_a_relevant_image_does_not_count() -> None:
    ranks = np.array([[0, 0], [1, 1]])
    scores = score_rankings(ranks, [[], [0]], [[], []])
    assert np.isnan(scores.average_precision[0])
    assert scores.map == 1
    assert np.isnan(score_rankings(ranks[:, :1], [[]], [[]]).map)
