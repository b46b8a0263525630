import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset
from poise.evaluation.embedding_map import projections
from poise.evaluation.embedding_map.embed import MAX_IMAGES, embed
from poise.evaluation.embedding_map.projections import UMAP_MISSING, project
from poise.evaluation.embedding_map.sprites import TILE_PX, make_sprites
from poise.evaluation.neighbours.nearest import find_nearest
from poise.evaluation.reading.inference import Bench
from poise.evaluation.report import EvaluationTask
from poise.models.package import load_backbone
from tests.evaluation.conftest import MakeDataset
from tests.packages import save_package

BENCH = Bench(([0.5] * 3, [0.25] * 3), torch.device("cpu"))


@pytest.fixture
def task(make_dataset: MakeDataset, tmp_path: Path) -> EvaluationTask:
    """An untrained transformer, and images of three colours."""
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    dataset = ImageDataset.open(make_dataset("colours", [0, 1, 2] * 13 + [-1]))
    return EvaluationTask(backbone, dataset, BENCH, 16, tmp_path)


@pytest.mark.slow
def test_a_map_has_everything_that_its_page_shows(
    task: EvaluationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "find_spec", lambda name: None)
    report, content = embed(task)
    found = {figure.name: figure.value for figure in report.figures_found}
    assert [each.name for each in content.projections] == ["PCA", "t-SNE"]
    assert all(each.points.shape == (40, 2) for each in content.projections)
    assert content.nearest.shape == content.similarities.shape == (40, 10)
    assert content.tree is not None and content.tree.names == ("red", "green", "blue")
    assert UMAP_MISSING in report.notes
    assert found["pixels_same_class_neighbours"] > 90, "the colour is the class"
    assert {"cophenetic_correlation", "pixel_distance_agreement"} < set(found)
    assert 0 < found["trustworthiness_tsne"] <= 1
    assert report.pictures == ("map.html",) and report.changed == ()


@pytest.mark.slow
def test_images_without_labels_have_a_map_but_no_tree(
    task: EvaluationTask, make_dataset: MakeDataset
) -> None:
    dataset = ImageDataset.open(make_dataset("unlabelled", [-1] * 12, ()))
    report, content = embed(replace(task, dataset=dataset, max_images=9))
    assert content.tree is None and len(content.sample_ids) == 9
    assert all(each.name.startswith("trustworthiness") for each in report.figures_found)
    assert "The map shows 9 of 12 images" in report.notes[0]
    assert report.changed == ("--max-images=9",)


def test_what_a_page_cannot_show_is_refused(task: EvaluationTask) -> None:
    with pytest.raises(PoiseError, match="--max-images 5001: a page shows at most 5000 images"):
        embed(replace(task, max_images=MAX_IMAGES + 1))
    with pytest.raises(PoiseError, match="a map of 3 images shows nothing"):
        embed(replace(task, max_images=3))


def test_features_that_are_all_the_same_have_no_tsne() -> None:
    (only,) = project(np.ones((20, 4)) / 2)
    assert only.name == "PCA" and not only.points.any()


def test_the_nearest_images_never_include_the_image_itself() -> None:
    features = torch.randn(30, 5)
    found = find_nearest(features, 4)
    assert not bool((found.rows == torch.arange(30)[:, None]).any())
    assert bool((found.similarities.diff(dim=1) <= 0).all())
    assert find_nearest(features[:3], 10).rows.shape == (3, 2)


def test_thumbnails_lie_side_by_side_in_order(task: EvaluationTask) -> None:
    sprites = make_sprites(task.dataset, np.arange(40))
    (data,) = sprites.sheets
    with Image.open(io.BytesIO(data)) as sheet:
        assert sheet.size == (sprites.tiles_across * TILE_PX, 2 * TILE_PX)
        row, column = divmod(37, sprites.tiles_across)  # 37 % 3: a green one
        area = (column * TILE_PX, row * TILE_PX, (column + 1) * TILE_PX, (row + 1) * TILE_PX)
        red, green, blue = np.asarray(sheet.crop(area)).reshape(-1, 3).mean(axis=0)
    assert green > max(red, blue) + 50
