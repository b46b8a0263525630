"""Blocks traced one at a time, and features pooled from their tokens."""

import gc
import math
import weakref

import pytest
import torch
from torch import nn

from poise.config import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.backbone import VitBackbone, build_backbone, has_class_token
from poise.models.block_traces import trace
from poise.models.pooling import POOLINGS, check_pooling, patch_entropy, pool
from poise.models.relative import RelativeBackbone
from tests.builders import TINY_VIT


def tiny_vit(num_registers: int = 0, **options: object) -> VitBackbone:
    config = BackboneConfig(
        name="vit_tiny_patch16_224",
        num_registers=num_registers,
        drop_path=0,
        options={**TINY_VIT, **options},
    )
    backbone = build_backbone(config, image_px=16).eval()
    assert isinstance(backbone, VitBackbone)
    return backbone


def tokens(backbone: RelativeBackbone) -> int:
    """Of an image of 2 × 2 patches."""
    return backbone.num_prefix_tokens + 4


def hooks(module: nn.Module) -> int:
    return len(module._forward_hooks) + len(module._forward_pre_hooks)


@pytest.mark.parametrize(
    "options",
    [{}, {"qkv_bias": False}, {"qk_norm": True}, {"init_values": 0.1}, {"scale_attn_norm": True}],
)
def test_a_trace_shows_what_the_backbone_computes(options: dict[str, object]) -> None:
    backbone = tiny_vit(num_registers=2, **options)
    images = torch.randn(3, 3, 24, 24)
    steps = list(trace(backbone, images))
    assert [step.index for step in steps] == [0, 1]
    for step, block in zip(steps, backbone.timm_model.blocks, strict=True):
        assert step.attention.shape == (3, 2, 39, 39)
        torch.testing.assert_close(step.attention.sum(dim=-1), torch.ones(3, 2, 39))
        with torch.no_grad():
            added = block.attn(block.norm1(step.inputs))
        torch.testing.assert_close(step.branch, added)
    assert torch.equal(steps[0].outputs, steps[1].inputs)
    torch.testing.assert_close(backbone.timm_model.norm(steps[1].outputs), backbone.tokens(images))
    assert not any(hooks(module) for module in backbone.modules())
    (last,) = trace(backbone, images, first=-1)
    assert torch.equal(last.attention, steps[1].attention)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_small_patch16_dinov3", {}),
        ("beit_base_patch16_224", {"use_shared_rel_pos_bias": True, "use_rel_pos_bias": False}),
    ],
    ids=["eva", "beit"],
)
def test_transformers_told_where_their_tokens_are_can_be_traced(
    name: str, options: dict[str, object]
) -> None:
    small = {"embed_dim": 24, "depth": 2, "num_heads": 2}
    config = BackboneConfig(name=name, drop_path=0, options={**small, **options})
    backbone = build_backbone(config, image_px=32).eval()
    assert isinstance(backbone, RelativeBackbone) and has_class_token(backbone)
    images = torch.randn(2, 3, 32, 32)
    steps = list(trace(backbone, images))
    torch.testing.assert_close(backbone.last_norm(steps[1].outputs), backbone.tokens(images))
    torch.testing.assert_close(steps[1].attention.sum(dim=-1), torch.ones(2, 2, tokens(backbone)))


def test_a_trace_does_not_depend_on_the_attention_kernel_and_leaves_it_as_it_was() -> None:
    backbone = tiny_vit()
    images = torch.randn(2, 3, 16, 16)
    plain = [step.outputs for step in trace(backbone, images)]
    blocks = backbone.timm_model.blocks
    embed = backbone._embed

    def embed_for_fused_attention(images: torch.Tensor) -> torch.Tensor:
        embedded = embed(images)
        for block in blocks:
            block.attn.fused_attn = True
        return embedded

    backbone._embed = embed_for_fused_attention  # type: ignore[method-assign]
    fused = [step.outputs for step in trace(backbone, images)]
    torch.testing.assert_close(fused, plain)
    assert all(block.attn.fused_attn for block in blocks)


@pytest.mark.slow
def test_only_the_block_in_view_is_in_memory() -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    for step in trace(tiny_vit(depth=4), torch.randn(2, 3, 16, 16)):
        alive.append(weakref.ref(step.attention))
        del step
        gc.collect()
        assert not any(tensor() is not None for tensor in alive[:-1])


class TwoSoftmaxes(nn.Module):
    """Attention that passes through its dropout twice."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.fused_attn = 2, False
        self.attn_drop = nn.Identity()

    def forward(self, x: torch.Tensor, **told: object) -> torch.Tensor:
        for _ in range(2):
            self.attn_drop(torch.zeros(len(x), 2, x.shape[1], x.shape[1]))
        return x


def test_what_has_no_attention_to_trace_is_one_clear_error() -> None:
    images = torch.randn(1, 3, 16, 16)
    with pytest.raises(PoiseError, match="Identity: has no transformer blocks"):
        next(trace(nn.Identity(), images))
    backbone = tiny_vit()
    backbone.timm_model.blocks[1].attn = TwoSoftmaxes()
    with pytest.raises(PoiseError, match="TwoSoftmaxes: its attention is not one softmax"):
        list(trace(backbone, images))


def test_poolings_choose_and_weigh_the_patches_they_name() -> None:
    """Tokens that carry their own number: 0 [cls], 1 a register, 2 … 13 a grid of 3 × 4."""
    tokens = torch.arange(14.0).view(1, 14, 1)
    attention = torch.zeros(1, 2, 14, 14)
    attention[0, 0, 0, 0] = 0.4  # [cls] at itself, which no pooling counts
    attention[0, 0, 0, 2:] = 0.05  # one head spreads
    attention[0, 1, 0, 13] = 0.6  # the other selects the last patch
    expected = {
        "cls": [0.0],
        "mean": [7.5],
        "cls_mean": [0.0, 7.5],
        "cp1": [3.0],
        "cp2": [(3 + 4 + 7 + 8) / 4],
        "cp3": [(2 + 3 + 4 + 6 + 7 + 8 + 10 + 11 + 12) / 9],
        "attn_lcte": [13.0],
        "attn_mn": [(7.5 * 0.6 + 13 * 0.6) / 1.2],
    }
    for name, feature in expected.items():
        pooled = pool(tokens, attention, 2, (3, 4), name)
        torch.testing.assert_close(pooled, torch.tensor([feature]), rtol=1e-5, atol=1e-5)
    assert {*expected, "cp4"} == set(POOLINGS)
    with pytest.raises(ValueError, match="grid of 3 × 4 patches has no central 4 × 4"):
        pool(tokens, attention, 2, (3, 4), "cp4")
    with pytest.raises(ValueError, match="attn_mn needs the block's attention"):
        pool(tokens, None, 2, (3, 4), "attn_mn")


@pytest.mark.parametrize(
    ("grid", "first"), [(4, (1, 1, 0, 0)), (5, (1, 1, 0, 0)), (7, (2, 2, 1, 1))]
)
def test_the_central_square_begins_where_it_was_published_to(
    grid: int, first: tuple[int, ...]
) -> None:
    """On 5 × 5 patches the central 3 × 3 are rows and columns 0 to 2."""
    tokens = torch.arange(float(grid)).repeat_interleave(grid).view(1, -1, 1)  # their rows
    for k, start in enumerate(first, start=1):
        rows = torch.arange(start, start + k).float()
        pooled = pool(tokens, None, 0, (grid, grid), f"cp{k}")
        assert pooled.item() == pytest.approx(rows.mean().item())


def test_poolings_that_a_model_cannot_serve_are_refused_by_name() -> None:
    without_cls = tiny_vit(class_token=False, global_pool="avg")
    check_pooling(without_cls, "cp2")
    with pytest.raises(PoiseError, match=r"features=attn_mn: needs a \[cls\] token"):
        check_pooling(without_cls, "attn_mn")
    with pytest.raises(PoiseError, match="features=average: no such pooling"):
        check_pooling(tiny_vit(), "average")


def test_entropy_over_patches_spans_nothing_to_ln_n() -> None:
    one_hot, uniform = torch.eye(1, 196)[0], torch.full((196,), 1 / 400)
    assert float(patch_entropy(one_hot)) == pytest.approx(0, abs=2e-6)
    assert float(patch_entropy(uniform)) == pytest.approx(math.log(196), abs=3e-4)
