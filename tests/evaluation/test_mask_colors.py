"""Regions over images: the image shows through, and edges are sharp."""

import numpy as np
from PIL import Image

from poise.evaluation.mask_colors import grid, paint, thumbnail_size


def test_inside_is_tinted_the_edge_is_full_and_background_is_bare() -> None:
    image = Image.new("RGB", (7, 6), (100, 100, 100))
    mask = np.zeros((6, 7), dtype=np.uint8)
    mask[1:5, 1:6], mask[:, 6] = 1, 255
    painted = np.asarray(paint(image, mask)).astype(int)
    blue = np.array((0, 114, 178))
    assert (painted[0, 0] == 100).all()
    assert (painted[1, 1] == blue).all() and (painted[4, 3] == blue).all()
    assert (painted[2, 3] == np.rint(100 + 0.35 * (blue - 100))).all()
    assert (painted[0, 6] == 128).all(), "ignored pixels are grey"


def test_small_images_are_enlarged_by_whole_numbers() -> None:
    assert thumbnail_size((32, 24), 128, 256) == (128, 96)
    assert thumbnail_size((50, 50), 128, 256) == (150, 150)
    assert thumbnail_size((200, 100), 128, 256) == (200, 100)
    assert thumbnail_size((1024, 512), 128, 256) == (256, 128)


def test_rows_of_a_grid_have_captions_above() -> None:
    cell = Image.new("RGB", (40, 30))
    assert grid([("one", [cell] * 3), ("two", [cell])]).size == (3 * 42, 2 * 44)
