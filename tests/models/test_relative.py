"""Eva and Beit behind the interface of a vision transformer."""

import pytest
import torch

from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.block_traces import trace
from poise.models.readout import Readout, default_feature
from poise.models.relative import RelativeBackbone

SIZE = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
CONFIGS = {
    "eva": BackboneConfig(name="vit_small_patch16_dinov3", num_registers=4, options=SIZE),
    "mixed": BackboneConfig(name="vit_small_patch16_rope_mixed_224", options=SIZE),
    "beit": BackboneConfig(name="beit_base_patch16_224", options=SIZE),
}


def last_attention(backbone: RelativeBackbone, images: torch.Tensor) -> torch.Tensor:
    (block,) = trace(backbone, images, first=-1)
    return block.attention


@pytest.fixture(params=CONFIGS)
def backbone(request: pytest.FixtureRequest) -> RelativeBackbone:
    torch.manual_seed(0)
    built = build_backbone(CONFIGS[request.param], 32).eval()
    assert isinstance(built, RelativeBackbone)
    return built


@torch.no_grad()
def test_features_and_tokens_are_timms(backbone: RelativeBackbone) -> None:
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(backbone(images), backbone.timm_model(images), atol=1e-6)
    tokens = backbone.tokens(images)
    last = backbone.timm_model.forward_features(images)
    fc_norm = backbone.timm_model.fc_norm
    if not isinstance(fc_norm, torch.nn.Identity):
        last = fc_norm(last)
    assert torch.allclose(tokens, last, atol=1e-6)
    assert tokens.mean(dim=-1).abs().max() < 1e-5, "not normed"
    assert tokens.shape == (2, backbone.num_prefix_tokens + 16, 32)
    earlier, last = backbone.block_outputs(images, 2)
    assert torch.equal(backbone.last_norm(last), tokens)
    assert not torch.equal(earlier, last)


@torch.no_grad()
def test_attention_knows_where_tokens_are(backbone: RelativeBackbone) -> None:
    for block in backbone.timm_model.blocks:
        torch.nn.init.normal_(block.attn.proj.weight)
        if getattr(block.attn, "relative_position_bias_table", None) is not None:
            torch.nn.init.normal_(block.attn.relative_position_bias_table)
    attention = last_attention(backbone, torch.randn(2, 3, 32, 32))
    tokens = backbone.num_prefix_tokens + 16
    assert attention.shape == (2, 2, tokens, tokens)
    assert torch.allclose(attention.sum(-1), torch.ones(2, 2, tokens), atol=1e-5)
    # Of a constant image only positions tell patches apart.
    patches = last_attention(backbone, torch.zeros(1, 3, 32, 32))[..., backbone.num_prefix_tokens :]
    assert patches[0, 0, -1].std() > 1e-6


def test_probes_read_pooled_and_token_features_at_once(backbone: RelativeBackbone) -> None:
    images = torch.randn(2, 3, 32, 32)
    assert default_feature(backbone) == "pooled"
    names = ["pooled", "cls", "mean", "cp2", "last_2", "attn_mn"]
    found = Readout(backbone, names, 32)(images)
    assert list(found) == names
    assert torch.allclose(found["pooled"], backbone(images), atol=1e-6)
    assert found["last_2"].shape == (2, 64)
    assert torch.allclose(Readout(backbone, ["pooled"], 32)(images)["pooled"], found["pooled"])
