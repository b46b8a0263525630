from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from poise.config import Recipe
from poise.evaluation.untrained_cache import RememberedProbe
from tests.builders import tiny_recipe
from tests.evaluation.conftest import MakeDataset

CPU = torch.device("cpu")
Remembered = Callable[..., RememberedProbe]


class Counting:
    """A probe that counts how often it measured."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(
        self, backbone: nn.Module, device: torch.device, on_images: Callable[[int], None]
    ) -> Iterator[tuple[str, float]]:
        self.times += 1
        on_images(5)
        yield "knn_top1", sum(float(p.detach().sum()) for p in backbone.parameters())
        yield "lidar", float("nan")


@pytest.fixture
def recipe(make_dataset: MakeDataset) -> Recipe:
    return tiny_recipe(data__dataset=str(make_dataset("train", [0, 1, 2] * 6)))


def test_the_same_network_is_measured_once_whichever_process_asks(
    recipe: Recipe, tmp_path: Path
) -> None:
    probe, backbone = Counting(), nn.Linear(3, 2)
    first = list(RememberedProbe(probe, tmp_path / "untrained", recipe)(backbone, CPU))
    second = list(RememberedProbe(probe, tmp_path / "untrained", recipe)(backbone, CPU))
    assert probe.times == 1
    assert str(first) == str(second), "NaN included"


def test_the_images_of_a_measurement_are_told_to_the_caller(recipe: Recipe, tmp_path: Path) -> None:
    remembered, told = RememberedProbe(Counting(), tmp_path, recipe), list[int]()
    for _ in range(2):
        list(remembered(nn.Linear(3, 2), CPU, told.append))
    assert told == [5, 5], "two networks, so both are measured"


def test_another_network_or_another_measurement_is_measured(recipe: Recipe, tmp_path: Path) -> None:
    probe, backbone = Counting(), nn.Linear(3, 2)
    list(RememberedProbe(probe, tmp_path, recipe)(backbone, CPU))
    list(RememberedProbe(probe, tmp_path, recipe)(nn.Linear(3, 2), CPU))
    evaluation = recipe.evaluation.model_copy(update={"knn_k": 7})
    other = recipe.model_copy(update={"evaluation": evaluation})
    list(RememberedProbe(probe, tmp_path, other)(backbone, CPU))
    assert probe.times == 3


def test_a_damaged_file_is_measured_again(recipe: Recipe, tmp_path: Path) -> None:
    probe, backbone = Counting(), nn.Linear(3, 2)
    found = list(RememberedProbe(probe, tmp_path / "known", recipe)(backbone, CPU))
    (file,) = (tmp_path / "known").iterdir()
    file.write_text(file.read_text()[:10])
    again = list(RememberedProbe(probe, tmp_path / "known", recipe)(backbone, CPU))
    assert str(again) == str(found)
    assert probe.times == 2
