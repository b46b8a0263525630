"""`poise evaluate video` and `segmentation`, from the command line to files."""

import json
from pathlib import Path

import pytest

from poise.cli.main import run
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from tests.packages import save_package


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    prepare("scenes-video", folder, PrepareOptions(num_images=48, image_px=32))
    return folder


@pytest.mark.slow
def test_videos_become_figures_strips_and_animations(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_package(tmp_path / "model")
    out = tmp_path / "out"
    status = run(["evaluate", "video", str(model), str(videos), "--out", str(out), "--json"])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    (described,) = json.loads(printed.out)["models"]
    names = {figure["name"] for figure in described["figures_found"]}
    assert {"jf_mean", "j_recall", "f_decay", "first_mask_jf_mean"} <= names
    assert described["protocol"] == "video/davis-dino-v1" and described["num_images"] == 48
    assert all((out / "model" / picture).is_file() for picture in described["pictures"])

    status = run(
        ["evaluate", "video", str(model), str(videos), "--out", str(out), "--shorter-px", "48"]
    )
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert "video/davis-dino-v1 with --shorter-px=48" in printed.out


@pytest.mark.slow
def test_masks_become_a_segmentation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("train", 1), ("test", 2)):
        options = PrepareOptions(num_images=30, image_px=16, seed=seed)
        prepare("scenes", tmp_path / name, options)
    model = save_package(tmp_path / "model")
    words = ["evaluate", "segmentation", str(model), str(tmp_path / "test")]
    words += ["--out", str(tmp_path / "out")]
    status = run([*words, "--train", str(tmp_path / "train")])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    for text in ("segmentation/linear-poise-v1", "gain_over_pixels", "iou_object", "30 images"):
        assert text in printed.out
    assert (tmp_path / "out" / "model" / "segmentation.png").is_file()

    for more, message in (
        ([], "name it with --train"),
        (["--train", str(tmp_path / "test")], "is the training set too"),
        (["--train", str(tmp_path / "train"), "--classes", "objct"], "choose from mask, object"),
    ):
        status = run([*words, *more])
        printed = capsys.readouterr()
        assert status == 2 and message in printed.err and printed.err.count("\n") == 1
