"""Backbones of every kind that recipes can name."""

import pytest
import torch
from torch import Tensor

from poise.config import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.backbone import VitBackbone, build_backbone, check_patches
from poise.models.block_traces import trace
from poise.models.positions import resample_as_dino
from tests.builders import TINY_VIT

VIT = "vit_tiny_patch16_224"


def tiny(**changes: object) -> BackboneConfig:
    return BackboneConfig.model_validate(
        {"name": VIT, "drop_path": 0, "options": TINY_VIT, **changes}
    )


def build_vit(config: BackboneConfig, image_px: int) -> VitBackbone:
    backbone = build_backbone(config, image_px)
    assert isinstance(backbone, VitBackbone)
    return backbone


@pytest.mark.parametrize("num_registers", [0, 1, 4])
@pytest.mark.parametrize("resampling", ["dino", "timm"])
def test_views_of_other_sizes_give_features_and_tokens(num_registers: int, resampling: str) -> None:
    backbone = build_vit(
        tiny(num_registers=num_registers, position_resampling=resampling), image_px=16
    )
    for px in (8, 16, 24):
        images = torch.randn(2, 3, px, px)
        tokens = 1 + num_registers + (px // 4) ** 2
        assert backbone(images).shape == (2, 24)
        assert backbone.tokens(images).shape == (2, tokens, 24)
    assert backbone.num_prefix_tokens == 1 + num_registers


def test_both_resamplings_agree_at_the_native_size_and_with_timm_itself() -> None:
    torch.manual_seed(0)
    dino = build_backbone(tiny(), image_px=16).eval()
    timm = build_backbone(tiny(position_resampling="timm"), image_px=16).eval()
    timm.load_state_dict(dino.state_dict())
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(dino(images), timm(images))
    torch.testing.assert_close(dino(images), dino.timm_model.forward_features(images)[:, 0])
    smaller = torch.randn(2, 3, 8, 8)
    assert not torch.allclose(dino(smaller), timm(smaller))


def test_attention_is_what_the_last_block_uses() -> None:
    """Rebuilds the last block's output from the traced attention."""
    backbone = build_vit(tiny(num_registers=2), image_px=16).eval()
    images = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        last = backbone.timm_model.blocks[-1]
        x = backbone._embed(images)
        x = backbone.timm_model.blocks[0](x)
        values = last.attn.qkv(last.norm1(x))[..., 48:].unflatten(-1, (2, 12)).transpose(1, 2)
        (traced,) = trace(backbone, images, first=-1)
        mixed = (traced.attention @ values).transpose(1, 2).flatten(2)
        torch.testing.assert_close(last.attn.proj(mixed), last.attn(last.norm1(x)))


@pytest.mark.parametrize(
    "options", [{}, {"qkv_bias": False}, {"qk_norm": True}, {"init_values": 0.1}]
)
def test_the_feature_is_the_class_token_of_all_tokens(options: dict[str, object]) -> None:
    """The last block is computed for [cls] alone; value, gradient and dropped paths stay."""
    backbone = build_backbone(tiny(drop_path=0.5, options={**TINY_VIT, **options}), image_px=16)
    assert isinstance(backbone, VitBackbone)
    backbone.double()
    images = torch.randn(6, 3, 16, 16, dtype=torch.float64)
    results = []
    for alone in (True, False):
        torch.manual_seed(3)
        backbone.zero_grad()
        features: Tensor = backbone(images) if alone else backbone.tokens(images)[:, 0]
        (features.square() * torch.arange(24)).sum().backward()
        results.append([features, *(p.grad for p in backbone.parameters() if p.grad is not None)])
    assert len(results[0]) == len(results[1])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected)


def test_positions_of_the_native_grid_are_not_touched() -> None:
    positions = torch.randn(1, 9, 5)
    assert resample_as_dino(positions, (3, 3), (3, 3)) is positions


def test_position_embeddings_learn_from_views_of_every_size() -> None:
    backbone = build_backbone(tiny(), image_px=16)
    backbone(torch.randn(1, 3, 8, 8))[0, 0].backward()  # a sum over D is constant after the norm
    assert backbone.timm_model.pos_embed.grad.abs().sum() > 0


def test_stochastic_depth_rises_linearly_from_none() -> None:
    options = {**TINY_VIT, "depth": 3}
    backbone = build_backbone(tiny(drop_path=0.2, options=options), image_px=16)
    rates = [getattr(block.drop_path1, "drop_prob", 0) for block in backbone.timm_model.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2])
    teacher = build_backbone(tiny(drop_path=0.2, options=options), image_px=16, drop_path=0)
    assert all(isinstance(b.drop_path1, torch.nn.Identity) for b in teacher.timm_model.blocks)


def test_a_residual_network_pools_its_last_map() -> None:
    backbone = build_backbone(BackboneConfig(name="resnet10t", drop_path=0), image_px=32)
    assert backbone(torch.randn(2, 3, 32, 32)).shape == (2, backbone.feature_dim)


def test_a_residual_network_has_no_patch_tokens_and_a_transformer_has() -> None:
    check_patches(build_backbone(tiny(), image_px=16))
    resnet = build_backbone(BackboneConfig(name="resnet10t", drop_path=0), image_px=32)
    with pytest.raises(PoiseError, match="ResNetBackbone: has no patch tokens; use a vision"):
        check_patches(resnet)


@pytest.mark.parametrize("resampling", ["dino", "timm"])
def test_a_model_that_timm_norms_after_pooling_uses_that_norm_and_every_parameter(
    resampling: str,
) -> None:
    options = {**TINY_VIT, "global_pool": "avg"}
    backbone = build_vit(tiny(options=options, position_resampling=resampling), image_px=16)
    assert backbone.last_norm is backbone.timm_model.fc_norm
    images = torch.randn(2, 3, 16, 16)
    features = backbone(images)
    outputs = backbone.block_outputs(images, 1)[0]
    torch.testing.assert_close(features, backbone.last_norm(outputs[:, 1:].mean(dim=1)))
    assert features.mean(dim=1).abs().max() < 1e-5, "not normed"
    features.square().sum().backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


def test_a_residual_network_never_convolves_in_bf16_on_a_cpu_where_gradients_came_out_nan() -> None:
    backbone = build_backbone(BackboneConfig(name="resnet10t", drop_path=0), image_px=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = backbone(torch.rand(2, 3, 32, 32))
    assert features.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "vit_smal_patch16_224"}, "backbone.name=vit_smal_patch16_224: timm has no such"),
        ({"name": "resnet50", "num_registers": 4, "options": {}}, "num_registers=4"),
        ({"options": {"embed_dimension": 3}}, "backbone.options="),
        ({"name": "convnext_atto", "options": {}}, "only vision transformers and residual"),
        ({"name": "deit_tiny_distilled_patch16_224"}, "use deit_tiny_patch16_224"),
        (
            {"options": {**TINY_VIT, "global_pool": "map"}},
            "pools by attention.*global_pool to 'tok",
        ),
        ({"options": {**TINY_VIT, "in_chans": 1}}, "in_chans=1: images have 3 channels"),
        (
            {"options": {**TINY_VIT, "patch_size": [4, 8]}},
            r"patch_size=\[4, 8\]: patches must be sq",
        ),
    ],
)
def test_what_cannot_be_built_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PoiseError, match=message):
        build_backbone(tiny(**changes), image_px=32)
