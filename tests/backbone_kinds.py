"""Small backbones of every family, and packages' configs for them."""

from typing import Any

import torch

from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone

SIZE = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
VIT = "vit_tiny_patch16_224"
NORMALIZATION = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}

BACKBONES = {
    "vit": BackboneConfig(name="vit_tiny_patch16_224", options=SIZE),
    "registers": BackboneConfig(name="vit_tiny_patch16_224", num_registers=3, options=SIZE),
    "resnet": BackboneConfig(name="resnet18"),
    "eva": BackboneConfig(
        name="vit_small_patch16_dinov3",
        num_registers=4,
        options={**SIZE, "global_pool": "token"},
    ),
    "beit": BackboneConfig(
        name="beit_base_patch16_224",
        options={
            **SIZE,
            "use_abs_pos_emb": False,
            "use_rel_pos_bias": False,
            "use_shared_rel_pos_bias": True,
            "global_pool": "token",
        },
    ),
}


MORE_BACKBONES = {
    "without [cls]": BackboneConfig(
        name=VIT,
        options={**SIZE, "class_token": False, "global_pool": "avg", "fc_norm": False},
    ),
    "norm after pooling": BackboneConfig(name=VIT, options={**SIZE, "global_pool": "avg"}),
    "pools without need": BackboneConfig(
        name=VIT, options={**SIZE, "global_pool": "avg", "fc_norm": False}
    ),
    "timm's positions": BackboneConfig(
        name=VIT, num_registers=2, position_resampling="timm", options=SIZE
    ),
}
"""Kinds that differ in how they pool or place tokens."""


def made(kind: str) -> tuple[Any, dict[str, Any]]:
    """A backbone away from its initial values, and its package's config."""
    chosen = (BACKBONES | MORE_BACKBONES)[kind]
    torch.manual_seed(0)
    backbone = build_backbone(chosen, 64).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    described = chosen.described
    px = 64 if kind == "beit" else 48
    sizes = {"image_px": 64, "evaluation_px": px}
    return backbone, {"backbone": described, **sizes, "normalization": NORMALIZATION}


def same(one: Any, other: Any) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
