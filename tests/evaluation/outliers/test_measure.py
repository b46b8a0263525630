"""Reports on backbones without outliers, and what a report says of its limits."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poise.evaluation.outliers import sample as samples
from poise.evaluation.outliers.measure import measure_registers
from poise.evaluation.outliers.planted import Plant, PlantedBackbone
from tests.evaluation.conftest import MakeDataset
from tests.evaluation.outliers.conftest import SIDE, small_vit, task_of

pytestmark = pytest.mark.slow


def test_an_untrained_backbone_has_no_outliers(scenes: Path, tmp_path: Path) -> None:
    report = measure_registers(task_of(small_vit(num_registers=2), scenes, tmp_path))
    found = {each.name: each for each in report.figures_found}
    assert found["outlier_share"].value == found["outlier_images"].value == 0
    assert found["outlier_share"].high is not None and 0 < found["outlier_share"].high < 3
    assert "no outliers" in report.notes[0]
    assert not [name for name in found if name.endswith("_outlier") or name == "norm_limit"]
    assert {"norm_cls", "norm_register_1", "norm_register_2"} <= set(found)
    assert {"position_error_ordinary", "pixel_error_ordinary"} <= set(found)
    kinds = {"cls", "ordinary", "register_1", "register_2"}
    assert {f"class_top1_{kind}" for kind in kinds} <= set(found)
    files = {"blocks.csv", "norms.png", "places.png", "maps.png"}
    assert set(report.pictures) == files == {path.name for path in tmp_path.iterdir()}
    header, *rows = (tmp_path / "blocks.csv").read_text().splitlines()
    assert header.startswith("block,outlier_share,norm_q50") and len(rows) == 3
    assert report.figures["probe/scenes/registers-poise-v1/outlier_share"] == 0


def test_a_backbone_without_class_token_and_labels_is_measured_too(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = make_dataset("plain", [-1] * 40, classes=())
    backbone = small_vit(class_token=False, global_pool="avg")
    plant = Plant(norm=500, count=2)
    report = measure_registers(task_of(PlantedBackbone(backbone, plant), dataset, tmp_path))
    found = {each.name: each.value for each in report.figures_found}
    assert found["outlier_share"] == pytest.approx(100 * 2 / SIDE**2)
    assert any("no labels" in note for note in report.notes)


@pytest.mark.parametrize(("count", "doubted"), [(2, False), (8, True)])
def test_a_report_doubts_outliers_that_are_not_rare(
    scenes: Path, tmp_path: Path, count: int, doubted: bool
) -> None:
    planted = PlantedBackbone(small_vit(), Plant(norm=500, count=count))
    report = measure_registers(task_of(planted, scenes, tmp_path, max_images=20))
    assert any("outliers are rare" in note for note in report.notes) == doubted


def test_a_probe_with_too_few_tokens_is_left_out_and_named(scenes: Path, tmp_path: Path) -> None:
    planted = PlantedBackbone(small_vit(), Plant(norm=500, count=1))
    report = measure_registers(task_of(planted, scenes, tmp_path, max_images=20))
    names = {each.name for each in report.figures_found}
    assert "outlier_share" in names and "position_error_outlier" not in names
    assert any("left out: 20 of them" in note for note in report.notes)
    assert any("10 per class" in note for note in report.notes)


def test_figures_of_a_sample_are_close_to_those_of_all_images(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(PlantedBackbone(small_vit(), Plant(norm=500, count=2)), scenes, tmp_path)
    whole = {each.name: each.value for each in measure_registers(task).figures_found}
    monkeypatch.setattr(samples, "SAMPLE_IMAGES", 80)
    told: list[int] = []
    bench = replace(task.bench, on_images=told.append, batch_size=32)
    report = measure_registers(replace(task, bench=bench))
    part = {each.name: each.value for each in report.figures_found}
    assert sum(told) == report.num_images == 160, "every image is read once"
    for name in ("outlier_share", "outlier_images", "norm_median", "norm_limit", "norm_cls"):
        assert part[name] == pytest.approx(whole[name], rel=1e-5), name
    assert part["flatness_rank_outlier"] == pytest.approx(whole["flatness_rank_outlier"], abs=1)
    assert any("80 images, evenly spread" in note for note in report.notes)


def test_a_reports_figures_are_the_same_in_batches_of_any_size(
    scenes: Path, tmp_path: Path
) -> None:
    task = task_of(PlantedBackbone(small_vit(), Plant(norm=500, count=2)), scenes, tmp_path)
    reports = [
        measure_registers(replace(task, bench=replace(task.bench, batch_size=size)))
        for size in (7, 64)
    ]
    first, second = ({f.name: f.value for f in report.figures_found} for report in reports)
    assert first == pytest.approx(second, rel=1e-3)


def test_tokens_that_are_kept_are_bounded() -> None:
    for num_images, width in ((1, 384), (100, 384), (2048, 384), (2048, 1536)):
        drawn = samples.tokens_per_image(num_images, 256, 4 * width + 6 * 14**2)
        bytes_kept = num_images * drawn.drawn * (4 * width + 6 * 14**2)
        assert 1 <= drawn.drawn == drawn.longest <= 256
        assert bytes_kept <= 2**25
    positions = samples.sampled_positions(20_000)
    assert len(positions) == 2048 and positions[0] == 0 and positions[-1] == 19_999
    assert torch.equal(torch.from_numpy(samples.sampled_positions(5)), torch.arange(5)), (
        "all of a few"
    )
