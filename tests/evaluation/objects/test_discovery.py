"""Objects that are known, found by a transformer whose keys are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.config import PoiseError
from poise.data.dataset import ImageDataset
from poise.evaluation.objects.discovery import DiscoverySettings
from poise.evaluation.objects.mask_report import measure_masks
from poise.evaluation.objects.overlap import MaskSettings
from poise.evaluation.objects.report import measure_objects
from poise.evaluation.reading.distributed import pass_over_ray
from poise.evaluation.reading.finite import NotFiniteError
from poise.evaluation.reading.inference import Bench
from poise.evaluation.report import EvaluationReport, EvaluationTask, Figure
from poise.models.backbone import VitBackbone
from tests.evaluation.objects.conftest import MEAN_AND_STD, MakeObjects, RedObject, seeing_red

OWN_SIZES = (
    RedObject((64, 48), [(8, 16, 24, 32)]),
    RedObject((61, 45), [(40, 24, 61, 40)]),  # its right edge is in a padded patch
    RedObject((64, 48), [(32, 8, 56, 24)]),
    RedObject((48, 80), [(16, 32, 32, 72)]),
    RedObject((48, 80), [(24, 8, 40, 24)]),
)


def task(
    folder: Path, dataset: ImageDataset, backbone: VitBackbone | None = None, image_px: int = 48
) -> EvaluationTask:
    bench = Bench(MEAN_AND_STD, torch.device("cpu"), batch_size=3)
    return EvaluationTask(backbone or seeing_red(), dataset, bench, image_px, folder)


def by_name(report: EvaluationReport) -> dict[str, Figure]:
    return {figure.name: figure for figure in report.figures_found}


@pytest.mark.slow
@pytest.mark.parametrize("num_registers", [0, 3])
def test_lost_and_the_head_that_sees_objects_find_every_object(
    make_objects: MakeObjects, tmp_path: Path, num_registers: int
) -> None:
    asked = task(tmp_path, make_objects(*OWN_SIZES), seeing_red(num_registers))
    report = measure_objects(asked, DiscoverySettings(kept_mass=0.99))
    figures = by_name(report)
    assert report.num_images == 5 and report.image_px == 0
    assert report.changed == ("kept_mass=0.99",)
    assert (figures["corloc"].value, figures["iou"].value) == (100, 100)
    assert (figures["corloc_centred"].value, figures["iou_centred"].value) == (100, 100)
    assert 50 < figures["resembling_patches"].value < 100
    assert figures["corloc"].low == pytest.approx(56.55, abs=0.01)
    assert figures["corloc_attention_head_1"].value == 100
    assert figures["corloc_attention_best_head"].value == 100
    assert figures["corloc_attention_head_2"].value == 0  # sees all patches alike
    assert figures["corloc_whole_image"].value == 0
    assert (tmp_path / "objects.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_largest_image_is_shrunk_and_its_box_scaled_back(
    make_objects: MakeObjects, tmp_path: Path
) -> None:
    large = RedObject((640, 480), [(160, 160, 320, 320)])
    asked = task(tmp_path, make_objects(OWN_SIZES[0], large))
    report = measure_objects(asked, DiscoverySettings(max_patches=192))
    assert by_name(report)["iou"].value > 80
    assert any("Shrunk: 1 image of more than 192 patches" in note for note in report.notes)


@pytest.mark.slow
def test_small_images_can_be_enlarged(make_objects: MakeObjects, tmp_path: Path) -> None:
    small = RedObject((16, 12), [(4, 4, 8, 8)])
    asked = task(tmp_path, make_objects(small, small))
    report = measure_objects(asked, DiscoverySettings(shorter_px=48))
    assert by_name(report)["corloc"].value == 100
    assert report.image_px == 48 and report.changed == ("shorter_px=48",)


@pytest.mark.slow
def test_difficult_boxes_count_as_published_unless_they_are_left_out(
    make_objects: MakeObjects, tmp_path: Path
) -> None:
    hard = replace(OWN_SIZES[0], difficult=[True])
    asked = task(tmp_path, make_objects(hard, *OWN_SIZES[1:]))
    assert measure_objects(asked).num_images == 5
    report = measure_objects(asked, DiscoverySettings(with_hard=False))
    assert report.num_images == 4
    assert any("Left out: 1 image without a box that counts" in note for note in report.notes)


@pytest.mark.slow
def test_keys_that_all_resemble_each_other_need_centring_and_the_report_says_so(
    make_objects: MakeObjects, tmp_path: Path
) -> None:
    alike = seeing_red()
    with torch.no_grad():
        alike.timm_model.blocks[0].attn.qkv.bias[8:16] += 20.0  # added to every key
    asked = task(tmp_path, make_objects(*OWN_SIZES), alike)
    report = measure_objects(asked)
    figures = by_name(report)
    assert figures["resembling_patches"].value == 100
    assert figures["corloc"].value == figures["corloc_whole_image"].value == 0
    assert figures["corloc_centred"].value == 100
    assert any("A patch resembles 100% of the others" in note for note in report.notes)
    biased = measure_objects(asked, DiscoverySettings(bias=-8 * 20.0**2))
    assert by_name(biased)["corloc"].value == 100


def test_images_without_boxes_are_left_out_and_alone_they_are_refused(
    make_objects: MakeObjects, tmp_path: Path
) -> None:
    empty = RedObject((32, 32), [])
    with pytest.raises(PoiseError, match="none of the images has a box"):
        measure_objects(task(tmp_path, make_objects(empty)))


@pytest.mark.slow
def test_masks_of_the_head_that_sees_objects_cover_them(
    make_objects: MakeObjects, tmp_path: Path
) -> None:
    inside = RedObject((64, 48), [(8, 16, 24, 32)])
    half_ignored = RedObject((64, 48), [(8, 16, 24, 32)], ignored=(8, 16, 24, 24))
    asked = task(tmp_path, make_objects(inside, half_ignored, RedObject((32, 32), [])))
    report = measure_masks(asked, MaskSettings(kept_mass=0.99))
    figures = by_name(report)
    assert (report.num_images, report.image_px) == (2, 48)
    for name in ("head_1", "best_head", "best_head_per_image"):
        assert figures[f"jaccard_{name}"].value == pytest.approx(100)
    whole = np.mean([256 / (64 * 48), 128 / (64 * 48 - 128)])
    assert figures["jaccard_whole_image"].value == pytest.approx(100 * whole)
    assert figures["jaccard_head_2"].value == pytest.approx(100 * whole, rel=0.05)
    assert any("Left out: 1 image without an object" in note for note in report.notes)
    assert (tmp_path / "masks.png").stat().st_size > 10_000


def test_broken_features_are_one_line_and_not_a_figure(
    make_objects: MakeObjects, tmp_path: Path
) -> None:
    broken = seeing_red()
    with torch.no_grad():
        broken.timm_model.blocks[0].attn.qkv.weight[12, 3] = float("nan")
    dataset = make_objects(*OWN_SIZES)
    for measure in (measure_objects, measure_masks):
        with pytest.raises(NotFiniteError, match="are not finite"):
            measure(task(tmp_path, dataset, broken))


@pytest.mark.ray
@pytest.mark.slow
def test_over_ray_the_figures_are_the_same(
    make_objects: MakeObjects, tmp_path: Path, ray_cluster: None
) -> None:
    here = task(tmp_path, make_objects(*OWN_SIZES * 3))
    there = replace(here, bench=replace(here.bench, spread=pass_over_ray, batch_size=1))
    for measure in (measure_objects, measure_masks):
        assert measure(here) == measure(there)
