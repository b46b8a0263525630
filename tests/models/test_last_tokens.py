from typing import Any

import pytest
import torch

from poise.config.recipe import BackboneConfig
from poise.models.backbone import VitBackbone, build_backbone
from poise.models.last_tokens import last_tokens
from poise.models.relative import RelativeBackbone
from tests.builders import TINY_VIT


def test_tokens_are_those_of_evaluation_however_training_drops() -> None:
    config = BackboneConfig(
        name="vit_tiny_patch16_224", num_registers=2, drop_path=0.5, options=TINY_VIT
    )
    backbone = build_backbone(config, image_px=16)
    backbone.timm_model.blocks[0].eval()
    modes = [module.training for module in backbone.modules()]
    images, drawn = torch.randn(3, 3, 16, 16), torch.get_rng_state()
    found = last_tokens(backbone, images)
    assert modes == [module.training for module in backbone.modules()]
    assert torch.equal(torch.get_rng_state(), drawn)
    assert found is not None and found.class_tokens is not None
    assert found.patches.shape == (3, 16, 24) and not found.patches.requires_grad
    torch.testing.assert_close(found.class_tokens, backbone.eval()(images))


@pytest.mark.parametrize(
    ("name", "options", "num_registers", "has_class"),
    [
        ("vit_tiny_patch16_224", TINY_VIT, 0, True),
        ("vit_tiny_patch16_224", TINY_VIT, 2, True),
        (
            "vit_tiny_patch16_224",
            {**TINY_VIT, "class_token": False, "global_pool": "avg"},
            2,
            False,
        ),
        ("eva02_tiny_patch14_224", TINY_VIT, 2, True),
    ],
    ids=["[cls]", "[cls] and registers", "registers", "rotary positions"],
)
def test_each_kind_of_token_has_norms_where_a_backbone_has_it(
    name: str, options: dict[str, Any], num_registers: int, has_class: bool
) -> None:
    config = BackboneConfig(name=name, num_registers=num_registers, drop_path=0, options=options)
    backbone = build_backbone(config, image_px=16).eval()
    assert isinstance(backbone, VitBackbone | RelativeBackbone)
    images = torch.randn(3, 3, 16, 16)
    found = last_tokens(backbone, images)
    assert found is not None
    kinds = [
        found.class_norms[:, None] if found.class_norms is not None else None,
        found.register_norms,
        found.patch_norms,
    ]
    assert [kind is not None for kind in kinds] == [has_class, num_registers > 0, True]
    together = torch.cat([kind for kind in kinds if kind is not None], dim=1)
    torch.testing.assert_close(together, backbone.block_outputs(images, 1)[0].norm(dim=-1))


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_patch_norms_are_taken_before_the_last_norm_hides_them(scale: float) -> None:
    config = BackboneConfig(name="vit_tiny_patch16_224", drop_path=0, options=TINY_VIT)
    backbone = build_backbone(config, image_px=16)
    before = last_tokens(backbone, torch.zeros(2, 3, 16, 16))
    last = backbone.timm_model.blocks[-1].mlp.fc2
    with torch.no_grad():
        last.bias.fill_(scale)
    after = last_tokens(backbone, torch.zeros(2, 3, 16, 16))
    assert before is not None and after is not None
    grown = after.patch_norms - before.patch_norms
    assert (grown > 0.5 * scale * 24**0.5 - before.patch_norms.max()).all()
    assert after.patches.norm(dim=-1).max() < 2 * 24**0.5


def test_a_residual_network_has_none() -> None:
    backbone = build_backbone(BackboneConfig(name="resnet18", drop_path=0), image_px=32)
    assert last_tokens(backbone, torch.randn(2, 3, 32, 32)) is None
