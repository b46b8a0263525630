"""Videos of scenes move smoothly, and their masks follow the object exactly."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from poise.config import PoiseError
from poise.data.annotations import AnnotationReader, sequences_of
from poise.data.dataset import ImageDataset
from poise.data.preparation.ingest import prepare
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from poise.data.sources.scene_drawing import Scene, draw_scene
from poise.data.sources.scene_motion import NUM_FRAMES, draw_frame
from poise.data.views.decode import decode_rgb


def overlap(first: Scene, second: Scene) -> float:
    both = first.mask & second.mask
    return float(both.sum() / (first.mask | second.mask).sum())


def test_a_frame_is_a_function_of_its_seed_video_and_number() -> None:
    first, again = draw_frame(1, 2, 5), draw_frame(1, 2, 5)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)
    draw_frame(4, 4, 4)  # another clutter is drawn between, and the first one again
    np.testing.assert_array_equal(draw_frame(1, 2, 5).image, first.image)
    for other in (draw_frame(2, 2, 5), draw_frame(1, 3, 5), draw_frame(1, 2, 6)):
        assert (first.image != other.image).any()


def test_the_object_moves_a_little_from_frame_to_frame_and_far_over_a_video() -> None:
    steps, spans = [], []
    for video in range(6):
        frames = [draw_frame(0, video, number) for number in range(NUM_FRAMES)]
        steps += [overlap(*pair) for pair in pairwise(frames)]
        spans.append(min(overlap(frames[0], frame) for frame in frames))
    assert min(steps) > 0.5
    assert np.mean(steps) > 0.75
    assert np.mean(spans) < 0.25  # a mask that stays where it was is no solution


def test_a_video_keeps_its_object_light_and_haze() -> None:
    for video in range(8):
        first, last = draw_frame(0, video, 0), draw_frame(0, video, NUM_FRAMES - 1)
        assert first.label == last.label == draw_scene(0, video).label
        before, after = (each.image[each.mask == 1].mean(axis=0) for each in (first, last))
        np.testing.assert_allclose(before, after, atol=30)


def test_the_object_is_visible_in_every_frame() -> None:
    for video in range(20):
        for number in range(0, NUM_FRAMES, 5):
            frame = draw_frame(3, video, number, 48)
            assert frame.image.shape == (48, 48, 3)
            assert 0.02 < frame.mask.mean() < 0.4
            ((left, top, right, bottom),) = frame.boxes
            assert frame.mask[top:bottom, left:right].sum() == frame.mask.sum()


def test_every_frame_has_its_own_noise() -> None:
    first, second = draw_frame(0, 0, 1).image.astype(int), draw_frame(0, 0, 2).image.astype(int)
    assert (first != second).mean() > 0.3


def test_the_dataset_has_videos_masks_and_boxes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("videos") / "scenes-video"
    options = PrepareOptions(num_images=2 * NUM_FRAMES + 3, image_px=32, seed=5)
    manifest = prepare("scenes-video", folder, options)
    assert manifest.annotations == ("mask", "boxes", "sequence")
    dataset = ImageDataset.open(folder)
    videos = sequences_of(dataset)
    assert {name: len(ids) for name, ids in videos.items()} == {
        "video-00000": NUM_FRAMES,
        "video-00001": NUM_FRAMES,
        "video-00002": 3,
    }
    found = AnnotationReader(dataset, "mask", "sequence").read(videos["video-00001"])
    assert list(found.frames) == list(range(NUM_FRAMES))
    drawn = draw_frame(5, 1, 7, 32)
    np.testing.assert_array_equal(found.masks[7], drawn.mask)
    image = dataset.read(videos["video-00001"][7:8]).images[0]
    np.testing.assert_array_equal(np.asarray(decode_rgb(image)), drawn.image)
    assert isinstance(decode_rgb(image), Image.Image)


def test_frames_are_drawn_to_a_size() -> None:
    assert len(open_source("scenes-video")) == 30 * NUM_FRAMES
    with pytest.raises(PoiseError, match="--image-px 8: a scene has at least 16"):
        open_source("scenes-video", PrepareOptions(image_px=8))
