from typing import Any

import pytest
import torch
from timm.models.vision_transformer import ResPostBlock
from torch import Tensor, nn

from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.block_traces import UntraceableError, trace
from poise.models.last_block import LastBlock

SMALL = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}
MODELS = {
    "registers": BackboneConfig(
        name="vit_tiny_patch16_224", num_registers=2, drop_path=0, options=SMALL
    ),
    "no class token": BackboneConfig(
        name="vit_tiny_patch16_224", drop_path=0,
        options={**SMALL, "class_token": False, "global_pool": "avg"},
    ),
    "norm of queries and keys": BackboneConfig(
        name="vit_tiny_patch16_224", drop_path=0, options={**SMALL, "qk_norm": True}
    ),
    "rotary positions": BackboneConfig(
        name="vit_small_patch16_dinov3", drop_path=0,
        options={**SMALL, "embed_dim": 32},
    ),
    "relative positions": BackboneConfig(
        name="beit_base_patch16_224", drop_path=0, options=SMALL
    ),
}  # fmt: skip


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = build_backbone(MODELS[name], image_px=16).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases, scales and positions that start at zero
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_attention_is_that_of_the_whole_block(name: str, images: Tensor) -> None:
    backbone: Any = built(name)
    (whole,) = trace(backbone, images, first=-1)
    prefix = backbone.num_prefix_tokens
    rows = whole.attention[:, :, 0] if prefix else whole.attention.mean(dim=2)
    torch.testing.assert_close(LastBlock(backbone, images).attention(), rows[..., prefix:])


@pytest.mark.parametrize("name", ["registers", "no class token", "norm of queries and keys"])
@torch.no_grad()
def test_projections_are_the_outputs_of_the_linear_layer(name: str, images: Tensor) -> None:
    backbone: Any = built(name)
    seen: list[Tensor] = []
    layer = backbone.timm_model.blocks[-1].attn.qkv
    hook = layer.register_forward_hook(lambda _, given, output: seen.append(output))
    backbone.tokens(images)
    hook.remove()
    last = LastBlock(backbone, images)
    patches = seen[0][:, backbone.num_prefix_tokens :]
    for which, expected in zip("qkv", patches.chunk(3, dim=2), strict=True):
        torch.testing.assert_close(last.patches(which), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["rotary positions", "relative positions"])
@torch.no_grad()
def test_values_without_positions_rebuild_the_attention_s_output(name: str, images: Tensor) -> None:
    backbone: Any = built(name)
    attn = backbone.timm_model.blocks[-1].attn
    mixed: list[Tensor] = []
    hook = attn.proj.register_forward_pre_hook(lambda _, given: mixed.append(given[0]))
    (whole,) = trace(backbone, images, first=-1)
    hook.remove()
    prefix, last = backbone.num_prefix_tokens, LastBlock(backbone, images)
    values = last._projected("v", slice(None)).unflatten(2, (attn.num_heads, -1)).transpose(1, 2)
    expected = (whole.attention @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mixed[0], expected, rtol=1e-4, atol=1e-5)
    assert last.patches("k").shape == (3, 16, expected.shape[2]) == last.patches("q").shape
    assert prefix


def test_a_model_without_blocks_or_with_norms_behind_attention_is_refused(images: Tensor) -> None:
    resnet = build_backbone(BackboneConfig(name="resnet10t"), image_px=32)
    with pytest.raises(UntraceableError, match="no transformer blocks"):
        LastBlock(resnet, images)
    backbone: Any = built("registers")
    blocks = backbone.timm_model.blocks
    blocks[-1] = ResPostBlock(dim=24, num_heads=2)
    with pytest.raises(UntraceableError, match="ResPostBlock: Poise cannot read the keys"):
        LastBlock(backbone, images)
