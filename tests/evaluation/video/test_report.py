"""Videos from a prepared dataset to a report with pictures."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset
from poise.evaluation.reading.distributed import pass_over_ray
from poise.evaluation.reading.inference import Bench
from poise.evaluation.report import EvaluationReport, EvaluationTask
from poise.evaluation.video.frames import FrameSize
from poise.evaluation.video.report import report_video
from poise.models.package import load_backbone
from poise.models.test_time_registers import with_test_time_registers
from tests.evaluation.video.conftest import MakeVideos
from tests.packages import save_package

FOUR_VIDEOS = {"car": 8, "boat": 7, "bird": 9, "dog": 6}


class Colours(nn.Module):
    """A backbone whose patch tokens are the mean colours of the patches."""

    patch_px, num_prefix_tokens, feature_dim = 2, 1, 3

    def tokens(self, images: Tensor) -> Tensor:
        patches = nn.functional.avg_pool2d(images, self.patch_px).flatten(2).transpose(1, 2)
        return torch.cat([patches[:, :1], patches], dim=1)


class Nothing(Colours):
    """A backbone whose patches are all the same."""

    def tokens(self, images: Tensor) -> Tensor:
        return torch.ones_like(super().tokens(images))


def measure(
    folder: Path, out: Path, backbone: nn.Module | None = None, **options: Any
) -> EvaluationReport:
    bench = Bench(
        ([0.5] * 3, [0.25] * 3),
        torch.device("cpu"),
        options.pop("spread", None),
        batch_size=options.pop("batch", 5),
    )
    task = EvaluationTask(
        backbone or Colours(), ImageDataset.open(folder), bench, 32, out, options.pop("most", None)
    )
    return report_video(task, **options)


def values(report: EvaluationReport) -> dict[str, float]:
    return {figure.name: figure.value for figure in report.figures_found}


def test_features_that_know_the_objects_beat_the_first_mask(
    make_videos: MakeVideos, tmp_path: Path
) -> None:
    report = measure(make_videos(FOUR_VIDEOS), tmp_path)
    found = values(report)
    assert found["jf_mean"] > 90 and found["j_mean"] > 85
    assert found["gain_over_first_mask"] > 10
    assert report.num_images == sum(FOUR_VIDEOS.values())
    assert report.measurement == "video-davis-dino-v1"
    assert report.notes[0].startswith("8 objects in 4 sequences")
    # The second object never moves, so the first mask is right about it.
    assert 50 < found["first_mask_j_mean"] < 90


def test_features_that_know_nothing_do_not(make_videos: MakeVideos, tmp_path: Path) -> None:
    gain = values(measure(make_videos(FOUR_VIDEOS), tmp_path, Nothing()))["gain_over_first_mask"]
    assert gain < 0


@pytest.mark.slow
def test_batches_that_span_two_videos_change_nothing(
    make_videos: MakeVideos, tmp_path: Path
) -> None:
    folder = make_videos(FOUR_VIDEOS)
    assert values(measure(folder, tmp_path, batch=1)) == pytest.approx(
        values(measure(folder, tmp_path, batch=64))
    )


def test_every_video_has_a_strip_and_an_animation(make_videos: MakeVideos, tmp_path: Path) -> None:
    report = measure(make_videos(FOUR_VIDEOS), tmp_path)
    assert sorted(report.pictures[1:]) == sorted(
        f"{number:03d}-{name}.{ending}"
        for number, name in enumerate(FOUR_VIDEOS, start=1)
        for ending in ("png", "webp")
    )
    with Image.open(tmp_path / "003-bird.webp") as animation:
        assert animation.n_frames == FOUR_VIDEOS["bird"]  # type: ignore[attr-defined]
    with Image.open(tmp_path / "003-bird.png") as strip:
        assert strip.width == 6 * (128 + 2)


def test_every_object_has_a_row_in_a_table(make_videos: MakeVideos, tmp_path: Path) -> None:
    report = measure(make_videos(FOUR_VIDEOS), tmp_path)
    rows = list(csv.DictReader((tmp_path / report.pictures[0]).read_text().splitlines()))
    assert [(row["sequence"], row["object"]) for row in rows] == [
        (name, number) for name in FOUR_VIDEOS for number in ("1", "2")
    ]
    assert [int(row["frames"]) for row in rows[::2]] == [n - 2 for n in FOUR_VIDEOS.values()]
    mean = sum(float(row["jf_mean"]) for row in rows) / len(rows)
    assert mean == pytest.approx(values(report)["jf_mean"], abs=1e-3)


def test_what_cannot_be_scored_is_said(make_videos: MakeVideos, tmp_path: Path) -> None:
    report = measure(
        make_videos({"car": 5, "blink": 2, "empty": 6, "boat": 5}, empty="empty"), tmp_path
    )
    told = "\n".join(report.notes)
    assert "Left out: 1 sequence of fewer than 3 frames." in told
    assert "Left out: 1 sequence without an object in the first frame, such as empty." in told
    assert report.num_images == 16


def test_a_video_whose_frames_differ_in_size_is_left_out(
    make_videos: MakeVideos, tmp_path: Path
) -> None:
    report = measure(make_videos({"car": 5, "zoom": 4, "boat": 5}, growing="zoom"), tmp_path)
    assert "Left out: 1 sequence with frames of several sizes, such as zoom." in report.notes
    assert report.notes[0].startswith("4 objects in 2 sequences")
    assert sorted({name[4:8] for name in report.pictures[1:]}) == ["boat", "car."]


def test_videos_that_all_differ_in_size_are_refused(
    make_videos: MakeVideos, tmp_path: Path
) -> None:
    folder = make_videos({"zoom": 4}, growing="zoom")
    with pytest.raises(PoiseError, match="no sequence can be scored: 1 sequence with frames of"):
        measure(folder, tmp_path)


def test_objects_without_a_patch_are_counted(make_videos: MakeVideos, tmp_path: Path) -> None:
    report = measure(make_videos({"car": 4}), tmp_path, CoarseColours())
    assert any("Without a patch's centre" in note for note in report.notes)
    larger = measure(tmp_path / "videos", tmp_path, CoarseColours(), shorter_px=256)
    assert not any("Without a patch's centre" in note for note in larger.notes)
    assert larger.changed == ("--shorter-px=256",)


class CoarseColours(Colours):
    patch_px = 32


def test_a_limit_takes_whole_videos(make_videos: MakeVideos, tmp_path: Path) -> None:
    report = measure(make_videos(FOUR_VIDEOS), tmp_path, most=15)
    assert report.num_images in {8 + 7, 9 + 6, 8 + 6, 7 + 6, 9, 8, 7, 6}


def test_images_without_sequences_are_refused(make_videos: MakeVideos, tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="no sequence has 3 frames"):
        measure(make_videos({"blink": 2}), tmp_path)


@pytest.mark.ray
@pytest.mark.slow
def test_videos_over_ray_have_the_same_figures_with_an_added_register_too(
    make_videos: MakeVideos, tmp_path: Path, ray_cluster: None
) -> None:
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    changed = with_test_time_registers(backbone, [(0, 3), (1, 5)]).eval()
    folder = make_videos(FOUR_VIDEOS)
    here = measure(folder, tmp_path, changed)
    there = measure(folder, tmp_path, changed, spread=pass_over_ray)
    assert values(there) == values(here)


@pytest.mark.parametrize(
    ("size", "patch_px", "read_at"),
    [
        ((854, 480), 16, (832, 480)),
        ((854, 480), 8, (832, 480)),
        ((1920, 1080), 16, (832, 480)),
        ((480, 854), 16, (480, 832)),
        ((854, 480), 14, (826, 476)),
        ((100, 64), 8, (96, 64)),
        ((7, 5), 8, (8, 8)),
    ],
)
def test_frames_are_read_at_the_published_size_or_their_own(
    size: tuple[int, int], patch_px: int, read_at: tuple[int, int]
) -> None:
    assert FrameSize(patch_px).of(size) == read_at


def test_a_frame_with_too_many_patches_is_shrunk() -> None:
    size = FrameSize(4, max_patches=2000)
    width, height = size.of((854, 480))
    assert size.num_patches((width, height)) <= 2000
    assert width % 4 == height % 4 == 0
    assert width / height == pytest.approx(854 / 480, rel=0.1)
