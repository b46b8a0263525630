"""Outlines of COCO become the pixels that they cover."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from poise.data.sources.annotated.coco_shapes import BadShapeError, decode_counts, draw_shape

SIZE = (10, 9)


def encode_counts(runs: list[int]) -> str:
    """The compressed form, written from its description: the inverse of ``decode_counts``."""
    text = ""
    for place, run in enumerate(runs):
        value = run - (runs[place - 2] if place > 2 else 0)
        while True:
            chunk, value = value & 31, value >> 5
            is_last = value == (-1 if chunk & 16 else 0)
            text += chr(48 + chunk + (0 if is_last else 32))
            if is_last:
                break
    return text


def runs_of(mask: NDArray[np.bool_]) -> list[int]:
    """Zeros and ones in turn, down the columns; the first run counts zeros."""
    flat = np.concatenate([[False], mask.T.reshape(-1)])
    ends = np.flatnonzero(np.diff(flat))
    lengths = np.diff(np.concatenate([[0], ends, [mask.size]]))
    return [int(length) for length in lengths]


def rectangle(x0: int, y0: int, x1: int, y1: int) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE[::-1], dtype=np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def test_a_rectangle_covers_its_pixels() -> None:
    for x0, y0, x1, y1 in [(0, 0, 10, 9), (2, 3, 5, 4), (9, 8, 10, 9), (0, 4, 10, 5)]:
        polygon = [x0, y0, x1, y0, x1, y1, x0, y1]
        np.testing.assert_array_equal(draw_shape([polygon], SIZE), rectangle(x0, y0, x1, y1))


def test_a_pixel_counts_if_its_centre_is_inside() -> None:
    polygon = [1.4, 1.4, 5.6, 1.4, 5.6, 4.6, 1.4, 4.6]
    np.testing.assert_array_equal(draw_shape([polygon], SIZE), rectangle(1, 1, 6, 5))
    polygon = [1.7, 1.7, 5.3, 1.7, 5.3, 4.3, 1.7, 4.3]
    np.testing.assert_array_equal(draw_shape([polygon], SIZE), rectangle(2, 2, 5, 4))


def test_several_polygons_are_one_object_and_order_does_not_matter() -> None:
    first, second = [0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 8, 2, 8, 6, 2, 6]
    union = rectangle(0, 0, 4, 4) | rectangle(2, 2, 8, 6)
    for polygons in ([first, second], [second, first]):
        np.testing.assert_array_equal(draw_shape(polygons, SIZE), union)


def test_what_lies_outside_the_image_is_left_out() -> None:
    polygon = [-5, -5, 3, -5, 3, 2, -5, 2]
    np.testing.assert_array_equal(draw_shape([polygon], SIZE), rectangle(0, 0, 3, 2))
    assert not draw_shape([[20, 20, 30, 20, 30, 30]], SIZE).any()
    assert not draw_shape([[-9, -9, -5, -9, -5, -5]], SIZE).any()


def test_a_disc_has_its_area() -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    points = np.stack([50.3 + 30 * np.cos(angles), 40.7 + 30 * np.sin(angles)], axis=1)
    found = draw_shape([points.reshape(-1).tolist()], (100, 80))
    assert found.sum() == pytest.approx(np.pi * 900, rel=0.005)
    rows, columns = np.nonzero(found)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((50.3, 40.7), abs=0.05)


def test_the_documented_text_is_these_runs() -> None:
    runs = [6, 1, 40, 4, 5, 4, 5, 4, 21]
    assert decode_counts("61X13mN000`0") == runs
    found = draw_shape({"size": [9, 10], "counts": "61X13mN000`0"}, SIZE)
    np.testing.assert_array_equal(found, draw_shape({"size": [9, 10], "counts": runs}, SIZE))
    assert found[6, 0] and found.sum() == 13


def test_run_lengths_go_down_the_columns() -> None:
    for seed in range(20):
        mask = np.random.default_rng(seed).random(SIZE[::-1]) < 0.4
        runs = runs_of(mask)
        for counts in (runs, encode_counts(runs)):
            found = draw_shape({"size": [9, 10], "counts": counts}, SIZE)
            np.testing.assert_array_equal(found, mask)


def test_long_runs_take_several_characters() -> None:
    runs = [0, 300_000, 7, 1, 100_000, 31, 32, 1_000_000]
    assert decode_counts(encode_counts(runs)) == runs


def test_run_lengths_agree_with_the_same_shape_as_polygons() -> None:
    canvas = Image.new("1", SIZE)
    ImageDraw.Draw(canvas).rectangle((3, 2, 6, 7), fill=1)
    runs = runs_of(np.asarray(canvas))
    found = draw_shape({"size": [9, 10], "counts": runs}, SIZE)
    np.testing.assert_array_equal(found, draw_shape([[3, 2, 7, 2, 7, 8, 3, 8]], SIZE))


@pytest.mark.parametrize(
    "outline",
    [
        None,
        [],
        "text",
        [[1, 2, 3, 4]],
        [[1, 2, 3]],
        [["a", "b", "c", "d", "e", "f"]],
        [[1, 2, 3, 4, float("nan"), 6]],
        [{"x": 1}],
        {"size": [9, 10], "counts": [90, 1]},
        {"size": [9, 10], "counts": [-1, 91]},
        {"size": [9, 10], "counts": [45.0, 45.0]},
        {"size": [9, 10], "counts": None},
        {"size": [10, 9], "counts": [90]},
        {"counts": [90]},
        {"size": [9, 10], "counts": "~~"},
        {"size": [9, 10], "counts": "\x01"},
        {"size": [9, 10], "counts": "X"},
        {"size": [9, 10], "counts": "o" * 5000},
    ],
    ids=str,
)
def test_what_is_no_outline_is_refused(outline: object) -> None:
    with pytest.raises(BadShapeError):
        draw_shape(outline, SIZE)
