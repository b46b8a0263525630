"""Stochastic depth that belongs to the sample, not to the batch that it is in."""

import pytest
import torch
from torch import Tensor

from poise.config.recipe import BackboneConfig
from poise.models.backbone import VitBackbone, build_backbone
from poise.models.drop_path import DropPath, PathAddress, drawn_paths, drop_paths
from tests.builders import TINY_VIT

DEEP = {**TINY_VIT, "depth": 4}


@pytest.fixture
def backbone() -> VitBackbone:
    config = BackboneConfig(name="vit_tiny_patch16_224", drop_path=0.9, options=DEEP)
    built = build_backbone(config, image_px=16)
    assert isinstance(built, VitBackbone)
    return built


def features(backbone: VitBackbone, images: Tensor, ids: Tensor, views: range) -> Tensor:
    with torch.no_grad(), drawn_paths(backbone, PathAddress(3, 1, ids), views):
        found: Tensor = backbone(images)
    return found


def test_an_image_drops_the_same_branches_in_every_batch(backbone: VitBackbone) -> None:
    images, ids = torch.randn(2, 6, 3, 16, 16), torch.arange(6) * 7
    whole = features(backbone, images.flatten(0, 1), ids, range(2)).unflatten(0, (2, 6))
    for rows in (slice(0, 2), slice(2, 6)):
        part = features(backbone, images[:, rows].flatten(0, 1), ids[rows], range(2))
        torch.testing.assert_close(part.unflatten(0, (2, -1)), whole[:, rows])
    second = features(backbone, images[1], ids, range(1, 2))
    torch.testing.assert_close(second, whole[1])


def test_samples_views_epochs_and_layers_have_draws_of_their_own() -> None:
    ids = torch.arange(50)
    draws = PathAddress(0, 0, ids).draws(range(3), 8)
    assert draws.shape == (150, 8)
    assert len(draws.unique()) == draws.numel()
    later = PathAddress(0, 1, ids).draws(range(3), 8)
    assert not torch.isin(later, draws).any()


def test_a_branch_is_kept_as_often_as_asked_and_its_mean_stays() -> None:
    layer = DropPath(0.3)
    ids = torch.arange(20_000)
    layer.draws = PathAddress(5, 2, ids).draws(range(1), 1)[:, 0]
    kept = layer(torch.ones(len(ids), 1))
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert kept.mean().item() == pytest.approx(1, abs=0.03)
    layer.eval()
    assert torch.equal(layer(kept), kept)


def test_draws_end_with_their_pass_even_if_it_fails(backbone: VitBackbone) -> None:
    with pytest.raises(RuntimeError), drawn_paths(backbone, PathAddress(0, 0, torch.arange(2))):
        assert all(layer.draws is not None for layer in drop_paths(backbone))
        backbone(torch.randn(3, 3, 16, 16))  # one image more than there are draws
    assert all(layer.draws is None for layer in drop_paths(backbone))
