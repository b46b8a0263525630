"""The embedded images are what their labels, masks and boxes say."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from poise.data.sources.scene_drawing import CLASSES, Scene, draw_clutter, draw_scene
from poise.data.views.decode import decode_rgb


def test_a_scene_is_a_function_of_its_seed_and_index() -> None:
    first, again, other = draw_scene(1, 2), draw_scene(1, 2), draw_scene(2, 2)
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != other.image).any()


@pytest.mark.parametrize("px", [16, 32, 97])
def test_the_box_is_the_smallest_around_the_mask(px: int) -> None:
    for index in range(40):
        scene = draw_scene(0, index, px)
        assert scene.image.shape == (px, px, 3)
        ((left, top, right, bottom),) = scene.boxes
        inside = scene.mask[top:bottom, left:right]
        assert inside.sum() == scene.mask.sum()
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_the_mask_is_where_the_object_changed_the_clutter() -> None:
    for index in range(40):
        scene, clutter = draw_scene(3, index, 64), draw_clutter(3, index, 64)
        difference = np.abs(scene.image.astype(int) - clutter).max(axis=-1)
        changed = difference > 2  # both are developed alike, and dim scenes differ little
        on_object = scene.mask == 1
        assert changed[on_object].mean() > 0.65
        assert changed[~on_object].mean() < 0.06  # the outline's half-covered pixels
        assert 0.1 < on_object.mean() < 0.9


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(5, index, 32) for index in range(800)]


@pytest.mark.slow
def test_every_class_comes_equally_often(scenes: list[Scene]) -> None:
    counts = np.bincount([scene.label for scene in scenes], minlength=len(CLASSES))
    assert len(CLASSES) == 8
    assert counts.min() > 60 and counts.max() < 145  # 100 expected, 4.4 standard deviations


@pytest.mark.slow
def test_light_and_size_do_not_tell_the_class(scenes: list[Scene]) -> None:
    """Nearest neighbours on brightness, contrast and object size stay near chance (12.5 %)."""
    labels = np.array([scene.label for scene in scenes])
    facts = np.array(
        [
            [
                scene.image.mean(),
                scene.image.std(),
                scene.image[scene.mask == 1].mean(),
                128 * scene.mask.mean(),
            ]
            for scene in scenes
        ]
    )
    assert accuracy_of_neighbours(facts, labels) < 0.2


@pytest.mark.slow
def test_hue_tells_the_class_though_light_and_haze_hide_it_from_pixels(
    scenes: list[Scene],
) -> None:
    labels = np.array([scene.label for scene in scenes])
    pixels = np.array([scene.image[scene.mask == 1].mean(axis=0) for scene in scenes])
    opponents = pixels @ np.array([[1, -1, 0], [0.5, 0.5, -1]]).T
    angles = np.arctan2(*opponents.T)
    hues = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    raw = np.array([scene.image.reshape(-1) for scene in scenes], dtype=float)
    assert accuracy_of_neighbours(raw, labels) + 0.15 < accuracy_of_neighbours(hues, labels)


def accuracy_of_neighbours(facts: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    squares = (facts**2).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * facts @ facts.T
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(axis=1)] == labels).mean())


def test_the_source_carries_image_boxes_and_mask() -> None:
    source = open_source("scenes", PrepareOptions(num_images=5, seed=7, image_px=24))
    sample = list(source.part(np.array([1, 3])).samples())[1]
    scene = draw_scene(7, 3, 24)
    np.testing.assert_array_equal(np.asarray(decode_rgb(sample.image)), scene.image)
    assert (sample.label, sample.boxes) == (scene.label, scene.boxes)
    assert sample.mask is not None
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(sample.mask))), scene.mask)
