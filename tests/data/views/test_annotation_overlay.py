"""Masks and boxes are drawn where they are, on the upright image."""

from pathlib import Path

import numpy as np
from PIL import Image

from poise.config.views import ViewsConfig
from poise.data.annotations import AnnotationReader, Annotations
from poise.data.dataset import ImageDataset
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.data.views.annotation_overlay import overlay, palette
from poise.data.views.preview import draw_preview
from tests.data.annotated_files import HEIGHT, WIDTH, mask_of
from tests.data.builders import write_blobs

GREY = Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90))
ONE = np.arange(1)


def test_every_value_has_a_colour_of_its_own_and_ignored_pixels_are_grey() -> None:
    colors = palette()
    assert len({tuple(color) for color in colors.tolist()}) > 250
    assert colors[255].tolist() == [128, 128, 128]
    apart = np.abs(np.diff(colors[:30].astype(int), axis=0)).max(axis=1)
    assert apart.min() > 100


def test_a_mask_is_tinted_and_the_background_stays() -> None:
    mask = mask_of((1, 2, 3, 10, 12), (2, 20, 3, 30, 12))
    drawn = np.asarray(overlay(GREY, Annotations(ONE, masks=[mask]), 0, 200))
    changed = (drawn != 90).any(axis=-1)
    np.testing.assert_array_equal(changed, mask > 0)
    assert (drawn[5, 5] != drawn[5, 25]).any()


def test_a_box_is_drawn_inside_its_edges() -> None:
    box = np.array([[4, 6, 25, 20]], dtype=np.int32)
    found = Annotations(ONE, boxes=[box], box_labels=[np.array([3], dtype=np.int32)])
    drawn = np.asarray(overlay(GREY, found, 0, 200))
    rows, columns = np.nonzero((drawn != 90).any(axis=-1))
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (4, 6, 25, 20)
    assert (drawn[10, 10] == 90).all()


def test_large_images_shrink_with_their_annotations() -> None:
    image = GREY.resize((WIDTH * 10, HEIGHT * 10))
    mask = np.kron(mask_of((1, 2, 3, 10, 12)), np.ones((10, 10), dtype=np.uint8))
    drawn = overlay(image, Annotations(ONE, masks=[mask]), 0, WIDTH)
    assert drawn.size == (WIDTH, HEIGHT)
    changed = (np.asarray(drawn) != 90).any(axis=-1)
    np.testing.assert_array_equal(changed, mask_of((1, 2, 3, 10, 12)) > 0)


def test_a_preview_has_one_more_column_if_there_are_annotations(tmp_path: Path) -> None:
    views = ViewsConfig(global_px=32, local_px=16, local_count=1)
    prepare("scenes", tmp_path / "scenes", PrepareOptions(num_images=3, image_px=32))
    write_blobs(tmp_path / "blobs", 3)
    with_annotations = draw_preview(tmp_path / "scenes", views, tmp_path / "a.png")
    without = draw_preview(tmp_path / "blobs", views, tmp_path / "b.png")
    with Image.open(with_annotations) as first, Image.open(without) as second:
        assert first.width - second.width > 100
    found = AnnotationReader(ImageDataset.open(tmp_path / "scenes"), "mask", "boxes").read(ONE)
    assert len(found) == 1
