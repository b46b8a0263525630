"""The instrument's test: outliers of known number, place, norm and content are recovered.

`docs/results/registers.md` has the same table for a pretrained backbone.
"""

from pathlib import Path

import pytest
import torch

from poise.evaluation.outliers.planted import Plant, PlantedBackbone
from poise.evaluation.outliers.planted_truth import recover
from tests.evaluation.outliers.conftest import SIDE, small_vit, task_of

pytestmark = pytest.mark.slow

PLANTS = [
    Plant(norm=300, count=1, first_block=2, where="flat", holds="image"),
    Plant(norm=1000, count=3, first_block=3, where="anywhere", holds="patch"),
    Plant(norm=300, count=5, first_block=1, where="fixed", holds="nothing"),
]

WITHIN = {
    "share of patches, %": 0,
    "images with outliers, %": 0,
    "norm": 0.02,
    "first block": 0,
    "rank in flatness, mean": 0.1,
    "at the ten commonest places, %": 0,
    "error of position": 0.1,
    "error of pixel": 0.1,
    "class, top-1 %": 0.15,
}
"""Relative distance from the truth that each fact may have."""


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.holds)
def test_every_fact_about_planted_outliers_is_recovered(
    plant: Plant, scenes: Path, tmp_path: Path
) -> None:
    rows = list(recover(task_of(small_vit(), scenes, tmp_path), plant))
    assert len(rows) == (6 if plant.holds == "image" else 8)
    for row in rows:
        truth = float(row.truth.rpartition(": ")[2])
        assert float(row.found) == pytest.approx(truth, rel=WITHIN[row.fact] + 1e-3), row.fact


def test_planted_tokens_are_where_and_what_they_should_be() -> None:
    images = torch.randn(3, 3, 4 * SIDE, 4 * SIDE)
    images[:, :, :4, 4:8] = 0.5  # the second patch is flat
    plain = small_vit()
    planted = PlantedBackbone(plain, Plant(norm=77, count=1, first_block=2))
    assert planted.places(images).tolist() == [[1]] * 3
    before, after = (list(each.each_block(images)) for each in (plain, planted))
    assert torch.equal(before[0], after[0])
    for own, changed in zip(before[1:], after[1:], strict=True):
        different = (own != changed).any(dim=2)
        assert different.nonzero()[:, 1].tolist() == [2, 2, 2], "behind [cls]"
        token = changed[:, 2]
        assert torch.allclose(token.norm(dim=1), torch.tensor(77.0))
        assert torch.allclose(
            torch.cosine_similarity(token, changed[:, 0], dim=1), torch.ones(3), atol=1e-6
        )
    assert torch.equal(plain(images), planted(images)), "features stay as they were"


def test_fixed_places_go_down_the_columns() -> None:
    plant = Plant(norm=1, count=SIDE + 1, where="fixed")
    places = PlantedBackbone(small_vit(), plant).places(torch.zeros(1, 3, 4 * SIDE, 4 * SIDE))
    assert places[0].tolist() == [*range(0, SIDE * SIDE, SIDE), 1]
