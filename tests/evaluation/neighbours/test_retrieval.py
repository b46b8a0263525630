from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset
from poise.evaluation.neighbours.ranking_pictures import Mark, Ranked, Ranking, draw_rankings
from poise.evaluation.neighbours.retrieval import PICTURE, measure_retrieval
from poise.evaluation.reading.inference import Bench
from poise.evaluation.reading.pixels import centred, shrunk
from poise.evaluation.reading.thumbnails import thumbnails
from poise.evaluation.report import EvaluationTask
from poise.models.package import load_backbone
from tests.evaluation.conftest import MakeDataset
from tests.packages import save_package

BENCH = Bench(([0.5] * 3, [0.25] * 3), torch.device("cpu"))


@pytest.fixture
def task(make_dataset: MakeDataset, tmp_path: Path) -> EvaluationTask:
    """An untrained transformer and 33 images of three colours, two of them without a label."""
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    labels = [0, 1, 2] * 10 + [-1, -1, 0]
    return EvaluationTask(
        backbone, ImageDataset.open(make_dataset("colours", labels)), BENCH, 16, tmp_path
    )


@pytest.mark.slow
def test_images_find_others_of_their_class(task: EvaluationTask, tmp_path: Path) -> None:
    report = measure_retrieval(task)
    found = {figure.name: figure for figure in report.figures_found}
    assert report.num_images == 31, "images without a label take no part"
    assert found["pixels_map"].value == 100, "the colour is the class"
    assert 30 < found["map"].value <= 100
    assert found["recall_at_1"].value <= found["recall_at_5"].value <= found["recall_at_10"].value
    for figure in found.values():
        assert figure.low is not None and figure.high is not None
        assert figure.low <= figure.value <= figure.high
    assert "A random order has a map of about 3" in report.notes[0]
    assert (tmp_path / PICTURE).stat().st_size > 1000
    assert set(report.figures) > {"probe/colours/retrieval-same-class-v1/map"}


@pytest.mark.slow
def test_another_feature_is_another_measurement(task: EvaluationTask) -> None:
    report = measure_retrieval(task, "mean")
    assert report.changed == ("--feature=mean",)
    assert measure_retrieval(task, "cls").changed == (), "what k-NN reads is the protocol's"


def test_what_cannot_be_retrieved_is_refused(
    task: EvaluationTask, make_dataset: MakeDataset
) -> None:
    for labels, classes, message in (
        ([0, 1, 2], ("a", "b", "c"), "has 3 images, and no class has two of them"),
        ([-1, -1, 0], ("a",), "1 of the images have a label"),
        ([-1, -1], (), "has no labels, and retrieval compares labels"),
    ):
        folder = make_dataset(f"of-{len(labels)}-{len(classes)}", labels, classes)
        with pytest.raises(PoiseError, match=message):
            measure_retrieval(replace(task, dataset=ImageDataset.open(folder)))


def test_rows_of_a_picture_may_have_different_lengths(task: EvaluationTask, tmp_path: Path) -> None:
    first, second, third = thumbnails(task.dataset, [4, 0, 4], 24)
    assert first.size == (24, 24) and first.tobytes() == third.tobytes() != second.tobytes()
    hit, miss, junk = (Ranked(second, mark.name, mark) for mark in Mark)
    rows = [Ranking(first, "red", [hit, miss, junk]), Ranking(third, "blue", [miss])]
    draw_rankings(tmp_path / "rows.png", rows, "a title")
    assert (tmp_path / "rows.png").stat().st_size > 1000


def test_pixels_are_shrunk_by_areas_and_centred_over_images() -> None:
    images = torch.rand(5, 3, 32, 48)
    pixels = shrunk(images)
    assert pixels.shape == (5, 3 * 16 * 16)
    assert pixels[2].view(3, 16, 16)[1, 0, 0] == pytest.approx(
        float(images[2, 1, :2, :3].mean()), abs=1e-6
    )
    assert torch.allclose(centred(pixels).mean(dim=0), torch.zeros(768), atol=1e-6)
