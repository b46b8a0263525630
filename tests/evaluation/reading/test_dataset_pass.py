from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poise.config.locations import Location
from poise.data.dataset import ImageDataset
from poise.evaluation.neighbours.made_copies import MadeCopies
from poise.evaluation.reading.distributed import pass_over_ray
from poise.evaluation.reading.features import features_of
from poise.evaluation.reading.finite import NotFiniteError, warn_if_equal
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench
from poise.evaluation.reading.square_images import SquareImages
from poise.models.package import load_backbone
from tests.evaluation.conftest import MakeDataset
from tests.packages import save_package

NORMALIZATION = ([0.5] * 3, [0.25] * 3)
CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_threads_change_neither_features_nor_their_order(
    make_dataset: MakeDataset, tmp_path: Path, two_threads: None
) -> None:
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    dataset = ImageDataset.open(make_dataset("colours", [0, 1, 2] * 17))
    told: list[int] = []
    bench = Bench(NORMALIZATION, CPU, on_images=told.append, batch_size=4)
    found = features_of(backbone, EvaluationImages(dataset, 16), bench)
    assert torch.get_num_threads() == 2
    assert sum(told) == 51
    torch.set_num_threads(1)
    alone = features_of(backbone, EvaluationImages(dataset, 16), bench)
    assert torch.equal(found[0], alone[0])
    assert found[1].tolist() == [0, 1, 2] * 17


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_end_a_pass_with_one_line(
    make_dataset: MakeDataset, value: float
) -> None:
    class Overflowing(nn.Module):
        """Gives one feature of one image that is no number."""

        def forward(self, batch: Tensor) -> Tensor:
            features = torch.ones(len(batch), 4)
            features[-1, 2] = value
            return features

    images = EvaluationImages(ImageDataset.open(make_dataset("colours", [0, 1, 2])), 16)
    with pytest.raises(NotFiniteError, match="colours: the backbone's features are not finite"):
        features_of(Overflowing(), images, Bench(NORMALIZATION, CPU))


class Scaled(nn.Module):
    """Gives other features for each image, all multiplied by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, batch: Tensor) -> Tensor:
        return self.factor * torch.eye(len(batch), 4)


@pytest.mark.parametrize("factor", [1e25, -1e38, 1e-13, 1e-30])
def test_features_without_a_usable_length_get_no_accuracy(
    make_dataset: MakeDataset, factor: float
) -> None:
    # They are finite, but their squares are not, or are 0: every image was equally similar to all.
    images = EvaluationImages(ImageDataset.open(make_dataset("colours", [0, 1, 2])), 16)
    with pytest.raises(NotFiniteError, match=r"colours: the backbone's features reach 1e.*cosine"):
        features_of(Scaled(factor), images, Bench(NORMALIZATION, CPU))


@pytest.mark.parametrize("factor", [1e15, 1e-9, 0.0])
def test_large_small_and_empty_features_are_measured(
    make_dataset: MakeDataset, factor: float
) -> None:
    images = EvaluationImages(ImageDataset.open(make_dataset("colours", [0, 1, 2])), 16)
    found, _ = features_of(Scaled(factor), images, Bench(NORMALIZATION, CPU))
    assert found.abs().max() == pytest.approx(factor)


@pytest.mark.parametrize("features", [torch.zeros(5, 4), torch.full((5, 4), 1e-3)])
def test_the_same_features_for_all_images_are_warned_of(
    features: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    # A collapsed backbone got 69 % of top-5 of 8 classes, by the order of the images.
    folder = Location.of("photos")
    warn_if_equal(features + 1e-3 * torch.eye(5, 4), folder)
    warn_if_equal(features[:1], folder)
    assert not caplog.messages
    warn_if_equal(features, folder)
    (warning,) = caplog.messages
    assert warning.startswith("warning: photos: all 5 images have the same features")


@pytest.mark.ray
@pytest.mark.slow
def test_a_pass_over_ray_gives_the_same_features_in_the_same_order(
    make_dataset: MakeDataset, tmp_path: Path, ray_cluster: None
) -> None:
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    folder = make_dataset("colours", [0, 1, 2] * 17)
    images = EvaluationImages(ImageDataset.open(folder), 16)
    told: list[int] = []
    bench = Bench(NORMALIZATION, CPU, on_images=told.append, batch_size=2)
    here = features_of(backbone, images, bench)
    over_ray = features_of(backbone, images, replace(bench, spread=pass_over_ray))
    assert sum(told) == 2 * 51  # by this process, wherever the images are read
    assert torch.equal(here[0], over_ray[0])
    assert torch.equal(here[1], over_ray[1])


@pytest.mark.ray
@pytest.mark.slow
def test_copies_that_are_made_on_the_way_are_the_same_over_ray(
    make_dataset: MakeDataset, tmp_path: Path, ray_cluster: None
) -> None:
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    dataset = ImageDataset.open(make_dataset("colours", [0, 1, 2] * 9))
    images = SquareImages(dataset, 16, np.arange(3, 24), MadeCopies("strong"))
    bench = Bench(NORMALIZATION, CPU, batch_size=2)
    here, over_ray = (
        features_of(backbone, images, each)
        for each in (bench, replace(bench, spread=pass_over_ray))
    )
    assert torch.equal(here[0], over_ray[0])
    assert here[1].tolist() == over_ray[1].tolist() == [0, 1, 2] * 7
