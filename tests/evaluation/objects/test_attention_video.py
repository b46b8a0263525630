from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from poise.config import PoiseError
from poise.evaluation.objects import attention_video
from poise.evaluation.objects.attention_video import (
    VideoSettings,
    draw_frames,
    write_animation,
    write_frames,
)
from poise.evaluation.objects.overlap import AttentionMasks
from poise.evaluation.reading.native import NativeSize
from tests.evaluation.objects.conftest import MEAN_AND_STD, PATCH_PX, seeing_red

CPU = torch.device("cpu")
OWN_SIZE = NativeSize(PATCH_PX)


def red_square(x: int) -> Image.Image:
    pixels = np.zeros((44, 61, 3), dtype=np.uint8)
    pixels[..., 1] = 255
    pixels[16:32, x : x + 16] = (255, 0, 0)
    return Image.fromarray(pixels)


def drawn(settings: VideoSettings) -> list[np.ndarray]:
    model = AttentionMasks(seeing_red(), kept_mass=0.99)
    frames = map(red_square, (0, 8, 16))
    return [np.asarray(each) for each in draw_frames(model, frames, MEAN_AND_STD, CPU, settings)]


def test_the_mask_of_a_head_follows_the_object() -> None:
    for place, pixels in enumerate(drawn(VideoSettings(OWN_SIZE, head=1, show="mask"))):
        kept = np.asarray(red_square(8 * place))
        assert pixels.shape == kept.shape
        is_red = kept[..., 0] == 255
        np.testing.assert_array_equal(pixels[is_red], kept[is_red])
        np.testing.assert_array_equal(pixels[~is_red], kept[~is_red] // 5 + 204)


def test_the_overlay_is_brightest_on_the_object() -> None:
    for place, pixels in enumerate(drawn(VideoSettings(OWN_SIZE, head=1))):
        is_red = np.asarray(red_square(8 * place))[..., 0] == 255
        bright = pixels.astype(int).sum(axis=2)
        assert bright[is_red].min() > bright[~is_red].max()


def test_both_stand_beside_the_frame_and_frames_can_be_resized() -> None:
    settings = VideoSettings(NativeSize(PATCH_PX, shorter_px=22), show="both")
    assert [each.shape for each in drawn(settings)] == [(22, 3 * 30, 3)] * 3


def test_a_head_that_is_not_there_is_one_line() -> None:
    with pytest.raises(PoiseError, match="--head 3: the model's heads have the numbers 1 to 2"):
        drawn(VideoSettings(OWN_SIZE, head=3))


@pytest.mark.parametrize("suffix", ["webp", "gif"])
def test_an_animation_lasts_as_long_as_its_frames_and_skips_some_of_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(attention_video, "ANIMATED_FRAMES", 4)
    colors = [Image.new("RGB", (700, 40), (30 * number, 0, 0)) for number in range(7)]
    paths = write_frames(tmp_path / "frames", iter(colors))
    assert [path.name for path in paths][:2] == ["frame-00000.png", "frame-00001.png"]
    path = tmp_path / f"all.{suffix}"
    assert write_animation(path, paths, frame_ms=40) == 4  # every second
    with Image.open(path) as animation:
        assert (animation.n_frames, animation.size) == (4, (640, 37))  # type: ignore[attr-defined]
        animation.seek(1)
        animation.load()
        assert animation.info["duration"] == 80


def test_frames_of_other_sizes_fit_into_the_first_one_s(tmp_path: Path) -> None:
    shapes = [(40, 30), (30, 40), (80, 60)]
    paths = write_frames(tmp_path, (Image.new("RGB", size, (255, 0, 0)) for size in shapes))
    assert write_animation(tmp_path / "all.webp", paths, frame_ms=40) == 3
    with Image.open(tmp_path / "all.webp") as animation:
        assert (animation.n_frames, animation.size) == (3, (40, 30))  # type: ignore[attr-defined]
