"""Attention statistics and pooled features against recordings of the published implementation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from poise.config.recipe import BackboneConfig
from poise.evaluation.tokens.attention import RunningStatistics
from poise.models.backbone import VitBackbone, build_backbone
from poise.models.block_traces import BlockTrace, trace
from poise.models.pooling import pool

POOLING = {"pos": "mean"}  # what the recording calls otherwise
Case = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def case(golden_dir: Path) -> Case:
    path = golden_dir / "attention_stats.npz"
    if not path.is_file():
        pytest.skip(f"no recording {path}")
    return dict(np.load(path, allow_pickle=False))


@pytest.fixture(scope="module")
def backbone(case: Case) -> VitBackbone:
    """The recorded model, its weights loaded under their recorded names."""
    names = ("patch_size", "embed_dim", "depth", "num_heads")
    options = {name: int(case[name]) for name in names}
    registers = case.get("weights/reg_token")
    config = BackboneConfig(
        name="vit_tiny_patch16_224", drop_path=0, options=options,
        num_registers=0 if registers is None else registers.shape[1],
    )  # fmt: skip
    backbone = build_backbone(config, image_px=int(case["img_size"])).eval()
    assert isinstance(backbone, VitBackbone)
    recorded = {
        name.removeprefix("weights/"): torch.from_numpy(values)
        for name, values in case.items()
        if name.startswith("weights/") and not name.startswith("weights/head.")
    }
    backbone.timm_model.load_state_dict(recorded)
    return backbone


def steps(backbone: VitBackbone, case: Case, images: slice = slice(None)) -> Iterator[BlockTrace]:
    return trace(backbone, torch.from_numpy(case["image"])[images])


def assert_recorded(ours: Any, case: Case, name: str) -> None:
    np.testing.assert_allclose(ours, case[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("batch_size", [1, 2, None])
def test_every_statistic_of_every_block_is_the_published_one(
    case: Case, backbone: VitBackbone, batch_size: int | None
) -> None:
    running = RunningStatistics(num_prefix_tokens=backbone.num_prefix_tokens, with_class_token=True)
    num_images = len(case["image"])
    for start in range(0, num_images, batch_size or num_images):
        for step in steps(backbone, case, slice(start, start + (batch_size or num_images))):
            running.add(step)
    ours = running.blocks()
    compared = set(ours[0]) & set(case)
    assert len(compared) == 10
    for name in compared:
        means = [block[name].mean for block in ours]
        assert_recorded(means, case, name)
        if not name.endswith("magnitude"):
            by_head = [np.mean(block[name].head_means) for block in ours]
            assert_recorded(by_head, case, name)


def test_every_pooled_feature_is_the_published_one(case: Case, backbone: VitBackbone) -> None:
    *_, last = steps(backbone, case)
    side = int(case["img_size"]) // int(case["patch_size"])
    recorded = [name for name in case if name.startswith("feature_")]
    assert recorded
    for name in recorded:
        pooling = name.removeprefix("feature_")
        feature = pool(
            last.outputs, last.attention, backbone.num_prefix_tokens, (side, side),
            POOLING.get(pooling, pooling),
        )  # fmt: skip
        assert_recorded(feature.numpy(), case, name)
