"""Attention statistics where the answer is known, and what a pass over images keeps."""

import math
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor

from poise.config import PoiseError
from poise.config.recipe import BackboneConfig
from poise.data.dataset import ImageDataset
from poise.evaluation.reading.finite import NotFiniteError
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench
from poise.evaluation.tokens.attention import (
    RunningStatistics,
    attention_statistics,
    magnitude_statistics,
    report_attention,
)
from poise.evaluation.tokens.running_mean import RunningMean
from poise.models.backbone import build_backbone
from poise.models.block_traces import BlockTrace
from tests.builders import TINY_VIT
from tests.evaluation.conftest import MakeDataset

NORMALIZATION = ([0.5] * 3, [0.25] * 3)
CPU = torch.device("cpu")


def statistics(attention: Tensor, num_prefix: int = 1, with_cls: bool = True) -> dict[str, float]:
    """Of attention [T, T] of one head."""
    values = attention_statistics(attention[None, None], num_prefix, with_cls)
    return {name: float(value) for name, value in values}


def uniform(num_tokens: int) -> Tensor:
    return torch.full((num_tokens, num_tokens), 1 / num_tokens)


def random_block(
    index: int, num_images: int, num_heads: int = 3, num_tokens: int = 7
) -> BlockTrace:
    tokens = torch.randn(3, num_images, num_tokens, 4).unbind()
    attention = torch.randn(num_images, num_heads, num_tokens, num_tokens).mul(2).softmax(dim=-1)
    return BlockTrace(index, tokens[0], attention, tokens[1], tokens[2])


def test_uniform_attention_has_the_entropy_that_the_published_code_gives_it() -> None:
    found = statistics(uniform(197))
    for row in ("cls", "pos"):
        assert found[f"{row}_pos_entropy"] == pytest.approx(5.27791, abs=1e-5)
        assert found[f"{row}_pos_entropy_over_ln_n"] == pytest.approx(1, abs=1e-4)
        assert found[f"{row}_cls_attention"] == pytest.approx(1 / 197)
        assert found[f"{row}_pos_mass"] == pytest.approx(196 / 197)
    assert found["cls_pos_attention"] == pytest.approx(1 / 197), "a mean over patches, not the mass"
    assert found["pos_self_attention_adj_for_cls"] == pytest.approx(1 / 196, abs=1e-7)


def test_tokens_that_look_only_at_themselves_have_no_entropy() -> None:
    found = statistics(torch.eye(10))
    assert found["cls_cls_attention"] == found["pos_self_attention"] == 1
    assert found["pos_pos_entropy"] == pytest.approx(0, abs=2e-6)
    assert found["pos_self_attention_adj_for_cls"] == pytest.approx(1, abs=2e-6)
    assert found["cls_cls_attention_adj_for_cls"] == pytest.approx(1e6), "guarded, not infinite"
    assert found["pos_cls_attention"] == found["cls_pos_mass"] == found["cls_pos_entropy"] == 0


def test_registers_are_neither_class_token_nor_patches() -> None:
    """[cls], two registers that attract nearly everything, and patches that share the rest."""
    num_patches = 9
    attention = torch.full((12, 12), 0.1 / num_patches)
    attention[:, 0], attention[:, 1:3] = 0.1, 0.4
    attention[1:3] = torch.nn.functional.one_hot(torch.tensor(11), 12)  # rows nobody may count
    found = statistics(attention, num_prefix=3)
    for row in ("cls", "pos"):
        masses = [found[f"{row}_{on}"] for on in ("cls_attention", "register_mass", "pos_mass")]
        assert masses == pytest.approx([0.1, 0.8, 0.1])
        assert found[f"{row}_pos_entropy"] == pytest.approx(math.log(9), abs=3e-4)
    assert found["pos_self_attention_adj_for_cls"] == pytest.approx(1 / 9, rel=1e-4)
    assert "cls_register_mass" not in statistics(attention)


def test_without_a_class_token_what_concerns_it_is_left_out() -> None:
    found = statistics(uniform(11), num_prefix=2, with_cls=False)
    assert not [name for name in found if "cls" in name.removesuffix("_adj_for_cls")]
    assert found["pos_register_mass"] == pytest.approx(2 / 11)
    assert found["pos_pos_mass"] == pytest.approx(9 / 11)


def test_magnitudes_are_ratios_per_token() -> None:
    inputs = torch.ones(1, 3, 4)  # length 2 each
    branch = torch.tensor([6.0, 2.0, 4.0]).view(1, 3, 1) * torch.tensor([1.0, 0, 0, 0])
    block = BlockTrace(0, inputs, uniform(3)[None, None], branch, inputs)
    found = {name: float(value) for name, value in magnitude_statistics(block, 1, True)}
    assert found == {"cls_magnitude": pytest.approx(3), "pos_magnitude": pytest.approx(1.5)}


def test_means_and_standard_errors_do_not_depend_on_how_images_were_batched() -> None:
    rows = torch.randn(23, 4) * 1e-4 + 1000
    running = RunningMean()
    for part in rows.split([1, 5, 10, 7]):
        running.add(part)
    expected = rows.double()
    torch.testing.assert_close(running.mean, expected.mean(dim=0), rtol=1e-12, atol=0)
    errors = running.standard_error()
    torch.testing.assert_close(errors, expected.std(dim=0) / 23**0.5, rtol=1e-6, atol=0)


def test_what_a_pass_keeps_does_not_grow_with_its_images() -> None:
    running = RunningStatistics(num_prefix_tokens=1, with_class_token=True)
    alive: list[weakref.ref[Tensor]] = []
    kept = []
    for _ in range(4):
        for index in range(2):
            block = random_block(index, num_images=5)
            alive += [weakref.ref(block.attention), weakref.ref(block.inputs)]
            running.add(block)
            del block
        assert not any(tensor() is not None for tensor in alive)
        tensors = [t for each in running.means.values() for t in (each.mean, each.squares)]
        assert all(t._base is None for t in tensors), "a view would keep a whole batch alive"
        kept.append(sum(tensor.numel() for tensor in tensors))
    assert len(set(kept)) == 1
    num_by_head, num_magnitudes = 12, 2
    assert kept[0] == 2 * 2 * (num_by_head * (1 + 3) + num_magnitudes)


def test_attention_of_a_broken_backbone_is_refused_in_one_line(make_dataset: MakeDataset) -> None:
    config = BackboneConfig(name="vit_tiny_patch16_224", drop_path=0, options=TINY_VIT)
    backbone = build_backbone(config, image_px=16).eval()
    with torch.no_grad():
        backbone.timm_model.blocks[0].norm1.weight[0] = torch.nan
    images = EvaluationImages(ImageDataset.open(make_dataset("some", [0, 1, 2])), 16)
    with pytest.raises(NotFiniteError, match="some: the backbone's attention and tokens are not"):
        report_attention(backbone, images, Bench(NORMALIZATION, CPU))


def test_a_block_is_the_mean_of_its_heads_and_its_error_is_over_images() -> None:
    running = RunningStatistics(1, True)
    block = random_block(0, num_images=6)
    running.add(block)
    (statistics,) = running.blocks()
    found = statistics["cls_cls_attention"]
    by_image = block.attention[:, :, 0, 0].double().numpy()
    assert found.mean == pytest.approx(by_image.mean())
    assert found.head_means == pytest.approx(by_image.mean(axis=0))
    assert found.head_standard_errors == pytest.approx(by_image.std(axis=0, ddof=1) / 6**0.5)
    assert found.standard_error == pytest.approx(np.std(by_image.mean(axis=1), ddof=1) / 6**0.5)
    assert statistics["cls_magnitude"].head_means == ()


def test_a_report_covers_every_image_once_and_tells_registers_apart(
    make_dataset: MakeDataset,
) -> None:
    options = {"patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 2}
    config = BackboneConfig(name="vit_tiny_patch16_224", num_registers=2, options=options)
    backbone = build_backbone(config, image_px=16)
    images = EvaluationImages(ImageDataset.open(make_dataset("some", [0, 1, 2] * 4)), 16, limit=9)
    done: list[int] = []
    report = report_attention(backbone, images, Bench(NORMALIZATION, CPU, on_images=done.append))
    assert (report.num_images, sum(done)) == (9, 9)
    assert (report.num_patches, report.num_registers, report.num_heads) == (16, 2, 2)
    assert len(report.blocks) == 3 and backbone.training
    for block in report.blocks:
        shares = [block[f"cls_{on}"].mean for on in ("cls_attention", "register_mass", "pos_mass")]
        assert sum(shares) == pytest.approx(1)
        assert len(block["pos_pos_entropy"].head_means) == 2


def test_a_backbone_without_attention_is_one_clear_error(make_dataset: MakeDataset) -> None:
    images = EvaluationImages(ImageDataset.open(make_dataset("some", [0, 1])), 32)
    resnet = build_backbone(BackboneConfig(name="resnet10t", drop_path=0), image_px=32)
    with pytest.raises(PoiseError, match="ResNetBackbone: has no transformer blocks"):
        report_attention(resnet, images, Bench(NORMALIZATION, CPU))
