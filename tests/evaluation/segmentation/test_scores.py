"""Intersection over union of all pixels, beside scikit-learn's confusion matrix."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from poise.evaluation.segmentation.scores import (
    constant_counts,
    count_pixels,
    intersection_over_union,
    segmentation_figures,
)

NAMES = ("background", "Left part", "right", "absent")


def example(num_images: int = 30) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    truths = draws.integers(0, 3, (num_images, 8, 8)).astype(np.uint8)
    found = np.where(draws.random(truths.shape) < 0.7, truths, draws.integers(0, 3, truths.shape))
    truths[:, 0] = 255
    return truths, found.astype(np.int64)


def test_figures_are_those_of_the_confusion_matrix() -> None:
    truths, found = example()
    counts = np.stack([count_pixels(*pair, 4) for pair in zip(truths, found, strict=True)])
    tables = {"model": counts, "pixels": counts, "majority": constant_counts(counts, 2)}
    figures = {figure.name: figure for figure in segmentation_figures(tables, NAMES)}

    counted = truths != 255
    matrix = confusion_matrix(truths[counted], found[counted], labels=range(3))
    unions = np.diag(matrix) / (matrix.sum(0) + matrix.sum(1) - np.diag(matrix))
    assert figures["miou"].value == pytest.approx(100 * unions.mean())
    assert figures["pixel_accuracy"].value == pytest.approx(100 * np.trace(matrix) / matrix.sum())
    assert figures["iou_left_part"].value == pytest.approx(100 * unions[1])
    assert "iou_absent" not in figures, "a class that is nowhere has no figure"
    share = (truths[counted] == 2).mean()
    assert figures["majority_pixel_accuracy"].value == pytest.approx(100 * share)
    assert figures["majority_miou"].value == pytest.approx(100 * share / 3)
    gain = figures["gain_over_pixels"]
    assert gain.value == gain.low == gain.high == 0
    miou = figures["miou"]
    assert miou.low is not None and miou.high is not None
    assert miou.value - 5 < miou.low < miou.value < miou.high < miou.value + 5


def test_a_class_that_is_predicted_but_nowhere_counts_as_0() -> None:
    truth = np.zeros((2, 2), dtype=np.uint8)
    counts = count_pixels(truth, np.array([[0, 0], [0, 1]]), 3)
    assert intersection_over_union(counts.astype(float))[:2].tolist() == [0.75, 0]
    assert np.isnan(intersection_over_union(counts.astype(float))[2])


def test_one_image_has_no_interval() -> None:
    truths, found = example(1)
    counts = count_pixels(truths[0], found[0], 4)[None]
    tables = {"model": counts, "pixels": counts, "majority": counts}
    assert all(figure.low is None for figure in segmentation_figures(tables, NAMES))
