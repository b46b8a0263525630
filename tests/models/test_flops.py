"""Operations that are counted from layers, compared with those that PyTorch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.flops import forward_flops

TINY = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_tiny_patch16_224", TINY),
        (
            "vit_tiny_patch16_224",
            {**TINY, "mlp_ratio": 2, "class_token": False, "global_pool": "avg"},
        ),
        ("vit_small_patch16_dinov3", TINY),
    ],
    ids=["vit", "without [cls]", "rotary"],
)
@pytest.mark.parametrize("num_registers", [0, 4])
def test_a_forward_pass_costs_what_pytorch_counts(
    name: str, options: dict[str, object], num_registers: int
) -> None:
    config = BackboneConfig(name=name, num_registers=num_registers, options=options)
    backbone = build_backbone(config, image_px=32).eval()
    for block in backbone.timm_model.blocks:
        block.attn.fused_attn = False  # PyTorch does not count the fused kernel of a CPU
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone.tokens(torch.zeros(1, 3, 32, 32))  # type: ignore[operator]
    assert forward_flops(backbone, 32) == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_blocks_with_relative_positions_are_counted_too() -> None:
    # A run that logs its first step counts them: timm keeps no width of a head in BEiT's blocks.
    config = BackboneConfig(name="beit_base_patch16_224", options={**TINY, "patch_size": 16})
    backbone = build_backbone(config, image_px=224).eval()
    for block in backbone.timm_model.blocks:
        block.attn.fused_attn = False
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone.tokens(torch.zeros(1, 3, 224, 224))  # type: ignore[operator]
    assert forward_flops(backbone, 224) == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.slow
def test_registers_cost_about_what_was_published() -> None:
    flops = []
    for num_registers in (0, 4, 16):
        config = BackboneConfig(name="vit_large_patch14_dinov2", num_registers=num_registers)
        with torch.device("meta"):
            flops.append(forward_flops(build_backbone(config, image_px=224), 224))
    none, four, sixteen = (each or 0.0 for each in flops)
    assert four / none == pytest.approx(1.016, abs=1e-3)
    assert sixteen / none == pytest.approx(1.065, abs=2e-3)


def test_a_residual_network_has_no_such_count() -> None:
    backbone = build_backbone(BackboneConfig(name="resnet10t"), image_px=32)
    assert forward_flops(backbone, 32) is None
