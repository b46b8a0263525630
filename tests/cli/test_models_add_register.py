"""`poise models add-register`: what is written, and when nothing is."""

import json
from pathlib import Path

import numpy as np
import pytest

from poise.cli.main import run
from poise.config.recipe import BackboneConfig
from poise.models.package import load_backbone, save_backbone
from tests.data.builders import encode, write_blobs, write_dataset
from tests.planted import IMAGE_PX, PATCH_PX, SIZES, planted_backbone


def save_planted(folder: Path) -> Path:
    config = BackboneConfig(name="vit_tiny_patch16_224", drop_path=0, options=SIZES)
    described = {
        "backbone": config.model_dump(mode="json"),
        "image_px": IMAGE_PX,
        "normalization": {"mean": [0.0] * 3, "std": [1 / 3] * 3},
    }
    save_backbone(folder, planted_backbone(), described)
    return folder


def write_marked(folder: Path) -> Path:
    """Dark noise with two white patches in each image, which fire the planted neuron."""
    encoded = []
    for index in range(30):
        draws = np.random.default_rng(index)
        pixels = draws.integers(0, 20, (37, 37, 3), dtype=np.uint8)
        for patch in draws.choice(16, 2, replace=False):
            top, left = (2 + PATCH_PX * int(each) for each in divmod(patch, 4))
            pixels[top : top + PATCH_PX, left : left + PATCH_PX] = 255
        encoded.append(encode(pixels))
    write_dataset(folder, encoded)
    return folder


@pytest.mark.slow
def test_a_package_with_the_added_register_is_measured_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, images = save_planted(tmp_path / "model"), write_marked(tmp_path / "marked")
    destination = tmp_path / "changed"
    words = ["models", "add-register", str(model), str(images), str(destination)]
    status = run(words)
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert "60 (12.50 %)" in printed.out and "outlier patches" in printed.out
    _, config = load_backbone(destination)
    assert config["added_register"]["neurons"] == [[1, 77]]
    assert config["added_register"]["before_and_after"]["outliers_after"] == 0

    both = ["evaluate", "registers", str(model), str(destination), str(images), "--json"]
    status = run([*both, "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    before, after = (
        {figure["name"]: figure["value"] for figure in described["figures_found"]}
        for described in json.loads(printed.out)["models"]
    )
    assert before["share_above_150"] == before["outlier_share"] == pytest.approx(12.5)
    # White patches stay twice as long as dark ones: that is the image, not the neuron.
    assert after["share_above_150"] == 0 and after["norm_largest"] < 3
    assert after["norm_register_1"] > 100

    status = run(words)
    printed = capsys.readouterr()
    assert status == 2 and "exists already" in printed.err


def test_without_outliers_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_planted(tmp_path / "model")
    write_blobs(tmp_path / "blobs", 30)
    destination = tmp_path / "changed"
    words = ["models", "add-register", str(model), str(tmp_path / "blobs"), str(destination)]
    assert run(words) == 0
    assert "there are no outliers and there is nothing" in capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["package"] is None
    assert not destination.exists()
