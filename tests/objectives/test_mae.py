"""The masked autoencoder's moving parts. The numbers of the whole are in tests/parity."""

import pytest
import torch

from poise.config import PoiseError, Recipe
from poise.data.views.color_augmentation import Photometry
from poise.models.mae import patchify, sincos_positions
from poise.objectives.base import RunPosition
from poise.objectives.mae import Mae
from tests.builders import random_batch, tiny_masked_recipe

START = RunPosition(0, 10, 100)


def build(recipe: Recipe) -> Mae:
    torch.manual_seed(0)
    return Mae(recipe, Photometry(recipe.data.views, (0.5,) * 3, (0.25,) * 3))


def test_what_is_hidden_belongs_to_seed_epoch_and_sample() -> None:
    recipe = tiny_masked_recipe()
    mae, batch = build(recipe), random_batch(recipe)
    noise = mae.draw_noise(batch, epoch=3)
    half = random_batch(recipe, batch_size=4, seed=9)  # other images under the same ids
    assert torch.equal(mae.draw_noise(half, epoch=3), noise[:4])
    assert not torch.equal(mae.draw_noise(batch, epoch=4), noise)
    assert not torch.equal(build(tiny_masked_recipe(seed=1)).draw_noise(batch, epoch=3), noise)
    hidden = noise.argsort(dim=1)[:, mae.num_visible :]
    assert len(set(map(tuple, hidden.tolist()))) > 1, "images differ in what is hidden"


def test_the_loss_looks_at_hidden_patches_alone_and_the_encoder_at_the_others() -> None:
    mae = build(tiny_masked_recipe())
    images, noise = torch.randn(3, 3, 16, 16), torch.rand(3, 16)
    order = noise.argsort(dim=1)
    patches = patchify(images, 4)
    hidden = order[:, mae.num_visible :]
    changed = patches.scatter(1, hidden[..., None].expand(-1, -1, 48), 7.0)
    back = changed.unflatten(2, (4, 4, 3)).unflatten(1, (4, 4)).permute(0, 5, 1, 3, 2, 4)
    mae.reconstruct(images, noise)
    first = mae.observe()
    mae.reconstruct(back.reshape(3, 3, 16, 16), noise)
    second = mae.observe()
    assert first.predictions is not None and second.predictions is not None
    assert torch.equal(first.predictions, second.predictions)
    assert second.targets is not None and (second.targets == 7).all()


@pytest.mark.parametrize(("ratio", "seen"), [(0.75, 4), (0.5, 8), (0.9, 1)])
def test_the_share_that_is_hidden_decides_how_much_is_encoded(ratio: float, seen: int) -> None:
    recipe = tiny_masked_recipe(objective__mask_ratio=ratio)
    mae = build(recipe)
    lengths: list[int] = []
    mae.backbone.timm_model.norm.register_forward_hook(
        lambda module, inputs, output: lengths.append(output.shape[1])
    )
    mae(random_batch(recipe), START).loss.backward()
    assert lengths == [1 + seen]


@pytest.mark.parametrize("ratio", [0.95, 1e-20])
def test_a_ratio_that_hides_all_or_nothing_is_refused(ratio: float) -> None:
    with pytest.raises(PoiseError, match=r"objective\.mask_ratio=.* of the 16 patches"):
        build(tiny_masked_recipe(objective__mask_ratio=ratio))


def test_a_backbone_without_patches_is_refused() -> None:
    backbone = {"name": "resnet10t", "drop_path": 0}
    with pytest.raises(PoiseError, match=r"backbone\.name=resnet10t: has no patches"):
        build(tiny_masked_recipe(backbone=backbone))


def test_a_width_that_two_coordinates_cannot_share_is_refused() -> None:
    options = {**tiny_masked_recipe().backbone.options, "embed_dim": 30}
    with pytest.raises(PoiseError, match=r"backbone\.options\.embed_dim=30: must be a multiple of"):
        build(tiny_masked_recipe(backbone__options=options))
    with pytest.raises(ValueError, match="dim=30"):
        sincos_positions(30, (2, 2))


def test_every_parameter_learns_whichever_way_timm_would_pool() -> None:
    """A parameter without a gradient would stop training on several workers."""
    for pool in ("token", "avg"):
        options = {**tiny_masked_recipe().backbone.options, "global_pool": pool}
        recipe = tiny_masked_recipe(backbone__options=options)
        mae = build(recipe)
        mae(random_batch(recipe), START).loss.backward()
        learned = [p.requires_grad == (p.grad is not None) for p in mae.trainable.parameters()]
        assert all(learned)


def test_positions_of_the_decoder_are_not_rounded_in_reduced_precision() -> None:
    recipe = tiny_masked_recipe()
    mae, batch = build(recipe), random_batch(recipe)
    seen: list[torch.dtype] = []
    mae.autoencoder.decoder.blocks[0].register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].dtype)
    )
    with torch.autocast("cpu", torch.bfloat16):
        mae(batch, START)
    assert seen == [torch.float32]


@pytest.mark.slow
@pytest.mark.parametrize("num_registers", [0, 3])
def test_registers_and_both_targets_learn(num_registers: int) -> None:
    for norm_pix_loss in (False, True):
        recipe = tiny_masked_recipe(
            backbone__num_registers=num_registers, objective__norm_pix_loss=norm_pix_loss
        )
        mae, batch = build(recipe), random_batch(recipe)
        optimizer = torch.optim.Adam(mae.trainable.parameters(), lr=0.01)
        losses = []
        for _ in range(30):
            loss = mae(batch, START).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.8 * losses[0]
        assert mae.backbone.num_prefix_tokens == 1 + num_registers


@pytest.mark.parametrize("norm_pix_loss", [False, True])
def test_the_picture_shows_the_image_and_keeps_what_was_seen(norm_pix_loss: bool) -> None:
    recipe = tiny_masked_recipe(objective__norm_pix_loss=norm_pix_loss)
    mae, batch = build(recipe), random_batch(recipe)
    picture = mae.pictures(batch)["reconstruction"]
    assert picture.shape == (3, 4 * 96, 8 * 96)
    small = picture[:, ::6, ::6].unflatten(1, (4, 16)).unflatten(3, (8, 16))
    image, seen, predicted, merged = small.permute(1, 3, 0, 2, 4)  # [rows, B, 3, 16, 16]
    assert (image.int() - batch.global_views[0].int()).abs().max() <= 1
    kept = patchify((seen == merged).float(), 4).mean(dim=2) == 1
    assert kept.sum(dim=1).tolist() == [mae.num_visible] * 8
    hidden = ~kept
    assert torch.equal(patchify(predicted, 4)[hidden], patchify(merged, 4)[hidden])
