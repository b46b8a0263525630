from pathlib import Path

import pytest
import torch

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.data.dataset import ImageDataset
from poise.evaluation.neighbours.copy_detection import (
    PICTURE,
    measure_made_copies,
    num_passes,
)
from poise.evaluation.neighbours.copydays import find_copydays
from poise.evaluation.neighbours.copydays_detection import (
    OtherImages,
    measure_copydays,
    published_px,
)
from poise.evaluation.neighbours.made_copies import KINDS
from poise.evaluation.reading.inference import Bench
from poise.evaluation.report import EvaluationTask
from poise.models.backbone import build_backbone
from poise.models.package import load_backbone
from tests.evaluation.conftest import MakeDataset
from tests.evaluation.neighbours.benchmarks import save_copydays, save_jpeg
from tests.packages import save_package

CPU = torch.device("cpu")
NORMALIZATION = ([0.5] * 3, [0.25] * 3)
OPTIONS = {"patch_size": 64, "embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.mark.slow
def test_copies_of_any_dataset_are_made_and_looked_up(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    dataset = ImageDataset.open(make_dataset("colours", [0, 1, 2] * 40))
    told: list[int] = []
    bench = Bench(NORMALIZATION, CPU, on_images=told.append)
    report = measure_made_copies(EvaluationTask(backbone, dataset, bench, 16, tmp_path), 10)
    found = {figure.name: figure for figure in report.figures_found}
    assert sum(told) == num_passes(120, 10) == 120 + 10 * len(KINDS)
    assert {f"map_{kind}" for kind in KINDS} < set(found)
    assert found["map_jpeg_30"].value > 5 > 100 * 2 / 120
    assert {"whitened_map", "pixels_micro_ap", "pixels_map_strong"} < set(found)
    assert (report.protocol, report.changed) == ("copies/made-v1", ("--originals=10",))
    assert (tmp_path / PICTURE).stat().st_size > 1000


@pytest.mark.slow
def test_too_few_images_without_copies_leave_whitening_out(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    dataset = ImageDataset.open(make_dataset("colours", [0, 1, 2] * 5))
    task = EvaluationTask(backbone, dataset, Bench(NORMALIZATION, CPU), 16, tmp_path)
    report = measure_made_copies(task)
    assert not [each for each in report.figures_found if each.name.startswith("whitened")]
    assert "No whitened figures: whitening of 48 axes" in report.notes[1]


def test_copydays_is_read_in_its_published_layout(tmp_path: Path) -> None:
    copydays = find_copydays(save_copydays(tmp_path))
    assert copydays is not None and copydays.num_originals == 4
    assert list(copydays.blocks) == ["strong", "jpegqual_3", "jpegqual_20"]
    assert copydays.blocks["strong"] == ((4, 0), (5, 1), (6, 2), (7, 3))
    assert copydays.files.names[9] == "jpegqual/3/200100.jpg"
    assert find_copydays(tmp_path / "strong") is None


@pytest.mark.slow
def test_copydays_is_measured_with_distractors_and_whitening(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    backbone = build_backbone(BackboneConfig(name="vit_tiny_patch16_224", options=OPTIONS), 320)
    copydays = find_copydays(save_copydays(tmp_path / "copydays"))
    assert copydays is not None
    others = ImageDataset.open(make_dataset("others", [0, 1, 2] * 4))
    photos = ImageDataset.open(make_dataset("photos", [0, 1, 2] * 32, seed=1))
    task = EvaluationTask(backbone, copydays.files, Bench(NORMALIZATION, CPU), 16, tmp_path)
    report = measure_copydays(task, copydays, OtherImages(others, photos))
    found = {figure.name: figure.value for figure in report.figures_found}
    assert report.image_px == published_px(64) == 320
    assert found["map_jpegqual_20"] == 100 and "whitened_map_strong" in found
    assert report.changed == ("--distractors=others", "--whitening=photos")
    assert report.notes == ("Copies are looked up among 16 images.",)
    few = measure_copydays(task, copydays, OtherImages(whitening=others))
    assert "No whitened figures: whitening of 48 axes" in few.notes[-1]
    assert not [each for each in few.figures_found if each.name.startswith("whitened")]
    alone = measure_copydays(task, copydays, OtherImages())
    assert "easier than the published one" in alone.notes[1]


@pytest.mark.parametrize(("patch_px", "side"), [(16, 320), (8, 320), (14, 322), (32, 320)])
def test_squares_have_whole_patches(patch_px: int, side: int) -> None:
    assert published_px(patch_px) == side


def test_what_is_wrong_with_copydays_is_said_in_one_line(tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    save_jpeg(alone / "original" / "200000.jpg", 1)
    with pytest.raises(PoiseError, match="no copies in strong/"):
        find_copydays(alone)
    save_jpeg(alone / "strong" / "299901.jpg", 1)
    with pytest.raises(PoiseError, match="no image in original/ begins with 2999"):
        find_copydays(alone)
    save_jpeg(alone / "original" / "200001.jpg", 1)
    with pytest.raises(PoiseError, match="2 images have 1 different numbers"):
        find_copydays(alone)
