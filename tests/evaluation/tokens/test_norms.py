"""Lengths of tokens where they are known: which block lets patches become scratch paper."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poise.config.recipe import BackboneConfig
from poise.data.dataset import ImageDataset
from poise.diagnostics.patches import patch_metrics
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench, normalized
from poise.evaluation.tokens import norms as token_norms
from poise.evaluation.tokens.attention import report_attention
from poise.evaluation.tokens.norms import TokenNorms, norm_statistics
from poise.models.backbone import build_backbone
from poise.models.block_traces import BlockTrace
from poise.models.last_tokens import last_tokens
from tests.evaluation.conftest import MakeDataset

NORMALIZATION = ([0.5] * 3, [0.25] * 3)
CPU = torch.device("cpu")
NUM_PATCHES = 16
PREFIX = 3  # [cls] and two registers


def vit() -> Any:
    torch.manual_seed(0)
    options = {"patch_size": 4, "embed_dim": 24, "depth": 4, "num_heads": 2}
    config = BackboneConfig(name="vit_tiny_patch16_224", num_registers=2, options=options)
    return build_backbone(config, image_px=16).eval()


def step(index: int, lengths: Tensor) -> BlockTrace:
    """A block that leaves tokens of these lengths [B, T]."""
    tokens = lengths[..., None] * torch.tensor([0.6, 0.8])
    nothing = torch.zeros(())
    return BlockTrace(index, nothing, nothing, nothing, tokens)


def test_every_kind_of_token_has_its_own_lengths() -> None:
    patches = torch.arange(101.0)[torch.randperm(101)].expand(2, -1)
    prefix = torch.tensor([[2.0, 10.0, 30.0], [4.0, 20.0, 40.0]])
    numbers = norm_statistics(torch.cat([prefix, patches], dim=1), PREFIX, True)
    found = {name: value.item() for name, value in numbers}
    quantiles = [found.pop(f"pos_norm_{name}") for name in ("q50", "q90", "q99", "max")]
    assert quantiles == pytest.approx([50, 90, 99, 100], abs=0.5)
    del found["pos_norm_bimodality"], found["pos_outlier_share"]
    assert found == {"cls_norm": 3, "register_norm_1": 15, "register_norm_2": 35}


def test_an_outlier_planted_in_a_block_shows_there_and_not_before() -> None:
    norms = TokenNorms(num_images=8, num_prefix_tokens=1, with_class_token=True)
    for index in range(4):
        lengths = torch.full((8, 1 + 25), 3.0)
        if index >= 2:
            lengths[:, 7] = 30
        norms.add(step(index, lengths))
    blocks = norms.blocks()
    shares = [block["pos_outlier_share"] for block in blocks]
    assert shares == pytest.approx([0, 0, 1 / 25, 1 / 25])
    assert [block["pos_norm_max"] for block in blocks] == pytest.approx([3, 3, 30, 30])
    assert all(block["pos_norm_q50"] == pytest.approx(3) for block in blocks)
    assert all(block["cls_norm"] == pytest.approx(3) for block in blocks)


def test_a_report_finds_the_block_of_a_backbone_that_makes_a_patch_long(
    make_dataset: MakeDataset,
) -> None:
    def lengthen(block: nn.Module, given: tuple[Tensor, ...], tokens: Tensor) -> Tensor:
        factors = torch.ones(tokens.shape[1])
        factors[PREFIX + 6] = 30
        return tokens * factors[:, None]

    backbone = vit()
    backbone.timm_model.blocks[1].register_forward_hook(lengthen)
    images = EvaluationImages(ImageDataset.open(make_dataset("some", [0, 1] * 5)), 16)
    report = report_attention(backbone, images, Bench(NORMALIZATION, CPU))
    shares = [block["pos_outlier_share"] for block in report.norms]
    assert shares == pytest.approx([0] + [1 / NUM_PATCHES] * 3)
    assert report.num_norm_images == report.num_images == 10


def test_the_last_block_is_as_training_logs_it(make_dataset: MakeDataset) -> None:
    backbone = vit()
    images = EvaluationImages(ImageDataset.open(make_dataset("some", [0, 1] * 5)), 16)
    last = report_attention(backbone, images, Bench(NORMALIZATION, CPU)).norms[-1]
    pixels = torch.cat([batch for batch, _ in images.batches(4)])
    tokens = last_tokens(backbone, normalized(pixels, NORMALIZATION))
    assert tokens is not None
    logged = {name: value.item() for name, value in patch_metrics(tokens).items()}
    for name in ("norm_q50", "norm_q90", "norm_q99", "norm_max", "norm_bimodality"):
        assert last[f"pos_{name}"] == pytest.approx(logged[f"patches/{name}"], rel=1e-4)
    assert last["pos_outlier_share"] == logged["patches/outlier_share"]
    assert last["cls_norm"] == pytest.approx(logged["tokens/cls_norm"], rel=1e-5)
    registers = [last["register_norm_1"], last["register_norm_2"]]
    assert sum(registers) / 2 == pytest.approx(logged["tokens/register_norm"], rel=1e-5)


def test_a_long_pass_is_looked_at_evenly_whatever_its_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(token_norms, "NORM_IMAGES", 4)
    found = []
    for sizes in ([13], [1, 5, 1, 6], [4, 4, 5]):
        norms = TokenNorms(num_images=13, num_prefix_tokens=0, with_class_token=False)
        for lengths in torch.arange(13.0).split(sizes):
            norms.add(step(0, lengths[:, None].expand(-1, 9)))
        assert norms.num_images == math.ceil(13 / 4) == 4
        (block,) = norms.blocks()
        found.append(block)
    assert found[0] == found[1] == found[2]
    assert found[0]["pos_norm_max"] == pytest.approx(12), "images 0, 4, 8 and 12"
    assert found[0]["pos_norm_q50"] == pytest.approx(6)
