import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from poise.evaluation.embedding_map.content import ClassTree, EmbeddingMap, Projection, Sprites
from poise.reports.embedding_map import render_map

DISTANCES = np.array([[0, 0.1, 0.8], [0.1, 0, 0.9], [0.8, 0.9, 0]])


def invented_map(classes: tuple[str, ...] = ("cat", "dog", "<b>ship</b>")) -> EmbeddingMap:
    """Twelve grey images in three classes, one of them with markup in its name."""
    draws, count = np.random.default_rng(0), 12
    buffer = io.BytesIO()
    Image.new("RGB", (4 * 48, 3 * 48), (120, 120, 120)).save(buffer, "JPEG")
    tree = ClassTree(
        classes,
        np.array([4, 4, 4]),
        DISTANCES,
        linkage(squareform(DISTANCES), "average"),
        0.93,
        (0.9, 0.95),
        0.97,
    )
    return EmbeddingMap(
        model="vit-1",
        dataset="pets & ships",
        protocol="map/features-v1",
        classes=classes,
        sample_ids=np.arange(count) * 7,
        labels=np.arange(count) % 3,
        projections=[
            Projection(name, draws.normal(size=(count, 2)), 0.9, f"{name} keeps something.")
            for name in ("PCA", "t-SNE")
        ],
        nearest=np.stack([np.roll(np.arange(count), -row - 1)[:10] for row in range(count)]),
        similarities=np.full((count, 10), 0.5),
        sprites=Sprites([buffer.getvalue()], 48, 4),
        tree=tree,
        sentences=("cat and dog are the nearest classes.", "The tree is faithful."),
        notes=("UMAP is not shown.",),
    )


def data_of(page: str) -> Any:
    found = re.search(r'id="map-data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_holds_every_image_with_its_neighbours() -> None:
    data = data_of(render_map(invented_map()))
    assert data["ids"] == [7 * row for row in range(12)]
    assert [len(row) for row in data["nearest"]] == [10] * 12
    assert [each["name"] for each in data["projections"]] == ["PCA", "t-SNE"]
    assert str(data["sheets"]).count("data:image/jpeg;base64,") == 1


def test_names_are_text_on_the_page_and_never_markup() -> None:
    page = render_map(invented_map())
    assert "pets &amp; ships as vit-1 sees it" in page
    assert "<b>ship</b>" not in page
    assert "Do similar classes lie near each other?" in page
    assert "cat and dog are the nearest classes." in page


@pytest.mark.parametrize("labels", [np.full(12, -1), np.arange(12) % 2])
def test_a_dataset_without_a_tree_has_a_page(labels: np.ndarray) -> None:
    content = replace(invented_map(), tree=None, sentences=(), labels=labels, classes=("a", "b"))
    page = render_map(content)
    assert "Do similar classes" not in page
    names = [each["name"] for each in data_of(page)["classes"]]
    assert names == (["no label"] if labels[0] < 0 else ["a", "b"])
