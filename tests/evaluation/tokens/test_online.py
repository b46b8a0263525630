"""Where [cls] looks, of attention that is known."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poise.config.recipe import BackboneConfig
from poise.data.dataset import ImageDataset
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench
from poise.evaluation.tokens.online import attention_probe
from poise.models.backbone import build_backbone
from tests.builders import TINY_VIT
from tests.evaluation.conftest import MakeDataset

CPU = torch.device("cpu")
NORMALIZATION = ([0.5] * 3, [0.25] * 3)
NUM_PATCHES = 16
UNIFORM = torch.full((17, 17), 1 / 17)
ENTROPY, ITSELF = "cls_pos_entropy_over_ln_n", "cls_cls_attention"


class Given(nn.Module):
    """The same attention for every image, one [T, T] for each head, computed so many times."""

    def __init__(self, heads: list[Tensor], times: int = 1) -> None:
        super().__init__()
        self.num_heads, self.fused_attn = len(heads), False
        self.heads, self.times = torch.stack(heads), times
        self.attn_drop = nn.Identity()

    def forward(self, x: Tensor, **told: object) -> Tensor:
        for _ in range(self.times):
            self.attn_drop(self.heads.expand(len(x), -1, -1, -1))
        return torch.zeros_like(x)


def on_one_patch(to_itself: float = 0.0) -> Tensor:
    """[cls] gives part of its attention to itself, and the rest to patch 5."""
    attention = torch.eye(17)
    attention[0, 0], attention[0, 5] = to_itself, 1 - to_itself
    return attention


def model(name: str = "vit_tiny_patch16_224", **options: object) -> Any:
    config = BackboneConfig(name=name, drop_path=0, options={**TINY_VIT, **options})
    return build_backbone(config, image_px=16)


def looking(*blocks: Given) -> Any:
    backbone = model(depth=len(blocks))
    for block, attention in zip(backbone.timm_model.blocks, blocks, strict=True):
        block.attn = attention
    return backbone


@pytest.fixture
def images(make_dataset: MakeDataset) -> EvaluationImages:
    return EvaluationImages(ImageDataset.open(make_dataset("some", [0, 1, 2, -1] * 3)), 16)


def figures(backbone: nn.Module, images: EvaluationImages) -> dict[str, float]:
    return dict(attention_probe(backbone, images, Bench(NORMALIZATION, CPU)))


def test_blocks_and_heads_are_told_apart_and_summed_up(images: EvaluationImages) -> None:
    first = Given([UNIFORM, UNIFORM])
    second = Given([on_one_patch(to_itself=0.6), UNIFORM])
    found = figures(looking(first, second), images)
    expected = {
        f"{ENTROPY}": 3 / 4,
        f"attention/{ENTROPY}_01": 1,
        f"attention/{ENTROPY}_01_lowest": 1,
        f"attention/{ENTROPY}_01_highest": 1,
        f"attention/{ENTROPY}_02": 1 / 2,
        f"attention/{ENTROPY}_02_lowest": 0,
        f"attention/{ENTROPY}_02_highest": 1,
        f"{ITSELF}": (3 / 17 + 0.6) / 4,
        f"attention/{ITSELF}_01": 1 / 17,
        f"attention/{ITSELF}_01_lowest": 1 / 17,
        f"attention/{ITSELF}_01_highest": 1 / 17,
        f"attention/{ITSELF}_02": (1 / 17 + 0.6) / 2,
        f"attention/{ITSELF}_02_lowest": 1 / 17,
        f"attention/{ITSELF}_02_highest": 0.6,
    }
    assert found == pytest.approx(expected, abs=2e-5)


def test_half_of_the_patches_have_the_entropy_of_half_of_them(images: EvaluationImages) -> None:
    half = torch.eye(17)
    half[0] = torch.tensor([0.2] + [0.1] * 8 + [0.0] * 8)
    found = figures(looking(Given([half])), images)
    assert found[ENTROPY] == pytest.approx(math.log(8) / math.log(NUM_PATCHES), abs=2e-5)
    assert found[ITSELF] == pytest.approx(0.2)


def test_a_transformer_without_queries_looks_everywhere_alike(images: EvaluationImages) -> None:
    backbone = model().train()
    for block in backbone.timm_model.blocks:
        nn.init.zeros_(block.attn.qkv.weight)
        nn.init.zeros_(block.attn.qkv.bias)
    found = figures(backbone, images)
    assert backbone.training
    assert [found[ENTROPY], found[ITSELF]] == pytest.approx([1, 1 / 17], abs=2e-5)


def test_rotary_positions_and_registers_are_looked_through(images: EvaluationImages) -> None:
    found = figures(model("eva02_tiny_patch14_224", num_reg_tokens=2), images)
    assert len(found) == 2 + 2 * 3 * TINY_VIT["depth"]
    assert all(0 < value < 1.001 for value in found.values())


def test_what_has_no_class_token_or_no_attention_to_show_has_no_figures(
    images: EvaluationImages,
) -> None:
    residual = BackboneConfig(name="resnet10t", drop_path=0)
    assert figures(build_backbone(residual, image_px=16), images) == {}
    assert figures(model(class_token=False, global_pool="avg"), images) == {}
    assert figures(looking(Given([UNIFORM]), Given([UNIFORM], times=2)), images) == {}


def test_a_single_patch_leaves_no_choice(make_dataset: MakeDataset) -> None:
    images = EvaluationImages(ImageDataset.open(make_dataset("small", [0, 1])), 4)
    found = figures(model(), images)
    assert found.keys() and not [name for name in found if ENTROPY in name]


def test_attention_that_is_not_finite_gives_nan(images: EvaluationImages) -> None:
    found = figures(looking(Given([UNIFORM, UNIFORM * torch.nan])), images)
    assert all(math.isnan(value) for value in found.values())
