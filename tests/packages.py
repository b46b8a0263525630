"""Small backbone packages that tests share."""

from pathlib import Path
from typing import Any

import torch

from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.package import save_backbone

OPTIONS = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2}


def save_package(
    folder: Path,
    image_px: int = 16,
    name: str = "vit_tiny_patch16_224",
    num_registers: int = 0,
    **config: Any,
) -> Path:
    """An untrained transformer: 2 blocks, 16 patches an image."""
    backbone = BackboneConfig(
        name=name, num_registers=num_registers, drop_path=0, options=OPTIONS
    )  # fmt: skip
    described = {
        "backbone": backbone.model_dump(mode="json"),
        "image_px": image_px,
        "normalization": {"mean": [0.5] * 3, "std": [0.25] * 3},
    }
    torch.manual_seed(0)
    save_backbone(folder, build_backbone(backbone, image_px), {**described, **config})
    return folder


def save_resnet(folder: Path) -> Path:
    """A residual network of four blocks."""
    backbone = BackboneConfig(name="resnet10t")
    described = {
        "backbone": backbone.model_dump(mode="json"),
        "image_px": 32,
        "normalization": {"mean": [0.5] * 3, "std": [0.25] * 3},
    }
    save_backbone(folder, build_backbone(backbone, 32), described)
    return folder
