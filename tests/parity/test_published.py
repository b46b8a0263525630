"""Checkpoints of the published implementations, imported under their own names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.models.backbone import VitBackbone
from poise.models.block_traces import trace
from poise.models.published.loading import Imported
from poise.models.published.shapes import Wishes
from poise.models.published.sources import Options, import_backbone

Case = Mapping[str, NDArray[Any]]
MAE_CASES = ("mae_forward_normpix0", "mae_forward_normpix1")


def load(folder: Path, name: str) -> Case:
    path = folder / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"no recording {path}")
    case: Case = np.load(path, allow_pickle=False)
    return case


def import_recorded(case: Case, path: Path, entry: str) -> tuple[Imported, dict[str, Tensor]]:
    """Saves the recorded weights as the published training does, and imports them."""
    weights = {
        name.removeprefix("weights/"): torch.from_numpy(case[name])
        for name in case
        if name.startswith("weights/")
    }
    prefix = "backbone." if entry == "teacher" else ""
    torch.save({entry: {f"{prefix}{key}": value for key, value in weights.items()}}, path)
    wishes = Wishes(num_heads=int(case["num_heads"]), depth=int(case["depth"]))
    return import_backbone(str(path), Options(wishes=wishes))[0], weights


@torch.no_grad()
def test_a_recorded_dino_gives_its_recorded_outputs(golden_dir: Path, tmp_path: Path) -> None:
    case = load(golden_dir, "dino_vit")
    imported, weights = import_recorded(case, tmp_path / "dino.pth", "teacher")
    assert (imported.layout, imported.mapped, imported.dropped) == ("timm", len(weights), {})
    assert imported.config["image_px"] == int(case["img_size"])
    backbone = imported.backbone
    assert isinstance(backbone, VitBackbone)
    images = torch.from_numpy(case["image"])
    second_last, last = map(backbone.last_norm, backbone.block_outputs(images, 2))
    (block,) = trace(backbone, images, first=-1)
    outputs = {
        "cls": backbone(images),
        "last_attention": block.attention,
        "layer_minus_1": last,
        "layer_minus_2": second_last,
    }
    for name, output in outputs.items():
        torch.testing.assert_close(output, torch.from_numpy(case[name]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MAE_CASES)
@torch.no_grad()
def test_a_recorded_mae_encodes_as_recorded(golden_dir: Path, tmp_path: Path, name: str) -> None:
    case = load(golden_dir, name)
    imported, weights = import_recorded(case, tmp_path / "mae.pth", "model")
    decoder = [key for key in weights if key.startswith("decoder_")]
    assert imported.layout == "mae"
    assert imported.dropped == {"mask token": 1, "decoder": len(decoder)}
    assert imported.matched == len(weights) - len(decoder) - 1
    backbone = imported.backbone
    assert isinstance(backbone, VitBackbone)
    vit = backbone.timm_model
    images = torch.from_numpy(case["image"])
    prefix, positions = backbone.prefix_and_positions()
    patches = vit.patch_embed(images).flatten(1, 2) + positions
    visible = case["latent"].shape[1] - 1
    order = torch.from_numpy(case["noise"]).argsort(dim=1)[:, :visible]
    seen = patches.gather(1, order.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))
    latent = vit.norm(vit.blocks(torch.cat([prefix.expand(len(images), -1, -1), seen], dim=1)))
    torch.testing.assert_close(latent, torch.from_numpy(case["latent"]), rtol=1e-4, atol=1e-4)
