import math
from pathlib import Path

import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image
from torch import nn

from poise.config import PoiseError
from poise.config.recipe import BackboneConfig
from poise.evaluation.tokens.maps import draw_attention
from poise.models.backbone import build_backbone
from poise.runs.curves import draw_curves

NORMALIZATION = ([0.5] * 3, [0.25] * 3)
OPTIONS = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}


@pytest.mark.parametrize("num_registers", [0, 2])
def test_attention_of_every_head_and_register_is_drawn(tmp_path: Path, num_registers: int) -> None:
    config = BackboneConfig(num_registers=num_registers, options=OPTIONS)
    backbone = build_backbone(config, image_px=32)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    path = tmp_path / "attention.png"
    draw_attention(path, backbone, images, NORMALIZATION, torch.device("cpu"))
    with Image.open(path) as picture:
        columns = 1 + 3 + 1 + num_registers
        assert picture.width == pytest.approx(1.6 * 110 * columns, abs=2)
    assert backbone.training


@pytest.mark.parametrize("num_registers", [0, 2])
def test_of_a_model_without_cls_patches_and_registers_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_registers: int
) -> None:
    """Token 0 is a register then, and is not called [cls]."""
    titles: list[str] = []
    monkeypatch.setattr(Axes, "set_title", lambda _, title, **how: titles.append(title))
    options = {**OPTIONS, "class_token": False, "global_pool": "avg"}
    backbone = build_backbone(BackboneConfig(num_registers=num_registers, options=options), 32)
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    draw_attention(tmp_path / "a.png", backbone, images, NORMALIZATION, torch.device("cpu"))
    registers = [f"register {number + 1}" for number in range(num_registers)]
    assert [title.split("\n")[0] for title in titles] == ["image", "mean patch", *registers]


def test_a_backbone_without_attention_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="Identity: has no transformer blocks"):
        draw_attention(
            tmp_path / "attention.png",
            nn.Identity(),
            torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
            NORMALIZATION,
            torch.device("cpu"),
        )


def test_curves_of_several_runs_are_drawn_though_one_diverged_and_one_has_no_probe(
    tmp_path: Path,
) -> None:
    healthy = [
        (s, {"loss/over_ln_k": 1 - s / 900, "eval/knn_top1": s / 10}) for s in range(0, 500, 9)
    ]
    diverged = [(0, {"loss/over_ln_k": 1.0}), (9, {"loss/over_ln_k": math.nan})]
    path = tmp_path / "curves.png"
    draw_curves(path, {"healthy": healthy, "diverged": diverged}, {"diverged": 9})
    with Image.open(path) as picture:
        assert picture.width > picture.height
    with pytest.raises(ValueError, match="loss/over_ln_k"):
        draw_curves(path, {"empty": []})
