from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poise.config.views import ViewsConfig
from poise.data.dataset import ImageDataset
from poise.data.views.color_augmentation import Photometry
from poise.data.views.cutter import ViewCutter
from poise.evaluation.label_free import TrainingViews, lidar_probe, rankme_probe
from poise.evaluation.reading.inference import Bench
from tests.evaluation.conftest import MakeDataset

CPU = torch.device("cpu")
UNCHANGED = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class MeanColour(nn.Module):
    """Three directions, of which hue and brightness change with the view."""

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return images.mean(dim=(2, 3))


class Constant(nn.Module):
    """A collapsed backbone."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 8), 0.37)


def views_of(folder: Path, **config: object) -> TrainingViews:
    settings = ViewsConfig.model_validate({"global_px": 16, **config})
    return TrainingViews(ImageDataset.open(folder), settings)


def pixels(views: TrainingViews) -> Tensor:
    return torch.cat([images for images, _ in views.batches(4)])


@pytest.fixture
def colours(make_dataset: MakeDataset) -> Path:
    return make_dataset("colours", [0, 1, 2, -1] * 5)


@pytest.mark.parametrize("global_count", [1, 2, 3])
def test_views_are_those_of_training_in_its_first_epochs(colours: Path, global_count: int) -> None:
    config = ViewsConfig(global_px=16, local_px=16, global_count=global_count)
    found = pixels(TrainingViews(ImageDataset.open(colours), config)).unflatten(0, (20, 8))
    cutter, photometry = ViewCutter(config, seed=0), Photometry(config, *UNCHANGED)
    encoded = ImageDataset.open(colours).read(np.arange(20))
    for view in range(8):
        epoch, number = divmod(view, global_count)
        batch = cutter(encoded, epoch)
        expected = photometry(batch.global_views, batch.global_photometry)[number]
        torch.testing.assert_close(found[:, view].float() / 255, expected, atol=1e-6, rtol=0)


def test_every_run_and_every_step_see_the_same_views(colours: Path) -> None:
    views = views_of(colours)
    first = pixels(views)
    assert torch.equal(first, pixels(views)) and views._kept
    assert torch.equal(first, pixels(views_of(colours)))
    one_image = first[:8].flatten(1).float()
    assert torch.pdist(one_image).min() > 0


def test_lidar_tells_a_collapse(colours: Path) -> None:
    views = views_of(colours)
    backbone = MeanColour().train()
    ((name, found),) = lidar_probe(backbone, views, Bench(UNCHANGED, CPU))
    assert name == "lidar" and 1.5 < found <= 3.01
    assert backbone.training
    ((_, collapsed),) = lidar_probe(Constant(), views, Bench(UNCHANGED, CPU))
    assert collapsed == pytest.approx(1, abs=1e-3)


def test_rankme_looks_at_all_of_a_bank_that_is_too_large() -> None:
    by_class = torch.eye(16).repeat_interleave(2_000, dim=0)  # 32,000, sorted as datasets are
    ((name, found),) = rankme_probe(by_class)
    assert name == "rankme" and found == pytest.approx(16, rel=1e-3)
    ((_, collapsed),) = rankme_probe(torch.ones(50, 16))
    assert collapsed == pytest.approx(1, abs=1e-3)
