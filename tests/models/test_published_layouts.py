"""Each published layout, built key for key from a timm model of the same architecture."""

import re
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from poise.config import PoiseError
from poise.models.backbone import VitBackbone
from poise.models.block_traces import trace
from poise.models.published.shapes import Wishes
from poise.models.published.sources import Options, import_backbone
from tests.models.conftest import DEPTH, WIDTH, Import, Tensors, randomized

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
VIT = {"img_size": 32, "patch_size": 8}


def vit_tensors() -> Tensors:
    return dict(randomized("vit_tiny_patch16_224", **VIT).state_dict())


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def dino_head() -> Tensors:
    return {
        "head.mlp.0.weight": torch.randn(8, WIDTH),
        "head.mlp.0.bias": torch.randn(8),
        "head.last_layer.weight_g": torch.ones(4, 1),
        "head.last_layer.weight_v": torch.randn(4, 8),
    }


def decoder() -> Tensors:
    names = ("decoder_embed.weight", "decoder_blocks.0.norm1.weight", "decoder_pred.bias")
    return {"mask_token": torch.randn(1, 1, 8), **{name: torch.randn(8) for name in names}}


@torch.no_grad()
def expected(name: str, **options: object) -> Tensor:
    model = randomized(name, **options)
    tokens: Tensor = model.forward_features(IMAGES)  # type: ignore[operator]
    return tokens[:, 0]


@torch.no_grad()
def features(imported: object) -> Tensor:
    result: Tensor = imported.backbone(IMAGES)  # type: ignore[attr-defined]
    return result


def test_the_teacher_is_taken_from_a_full_dino_checkpoint_unless_another_is_named(
    import_file: Import,
) -> None:
    teacher = vit_tensors()
    student = {name: tensor + 1 for name, tensor in teacher.items()}
    content = {
        "student": prefixed("module.", {**prefixed("backbone.", student), **dino_head()}),
        "teacher": {**prefixed("backbone.", teacher), **dino_head()},
        "optimizer": {"state": {0: {"step": 3}}, "param_groups": []},
        "epoch": 100,
        "args": Namespace(arch="vit_small", lr=5e-4),
        "dino_loss": {"center": torch.zeros(1, 4)},
    }
    imported = import_file(content)
    assert imported.layout == "dino"
    assert imported.dropped == {"projection head": 4}
    assert (imported.matched, imported.mapped) == (0, len(teacher))
    for name, tensor in imported.backbone.timm_model.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(tensor, teacher[name]), name
    assert torch.allclose(features(imported), expected("vit_tiny_patch16_224", **VIT), atol=1e-5)

    taken = import_file(content, checkpoint_key="student").backbone.state_dict()
    assert torch.equal(taken["timm_model.norm.weight"], student["norm.weight"])


def test_a_bare_backbone_keeps_every_name(import_file: Import) -> None:
    tensors = vit_tensors()
    imported = import_file(tensors)
    assert (imported.layout, imported.matched, imported.mapped) == ("timm", len(tensors), 0)
    assert imported.config["image_px"] == 32
    assert imported.config["backbone"]["options"]["depth"] == DEPTH


@pytest.mark.parametrize("whole", [False, True])
def test_mae_is_read_with_and_without_its_decoder(import_file: Import, whole: bool) -> None:
    tensors = vit_tensors()
    tensors["pos_embed"][:, 0] = 0
    imported = import_file({"model": {**tensors, **(decoder() if whole else {})}, "epoch": 799})
    assert imported.layout == "mae"
    assert imported.matched == len(tensors)
    assert imported.dropped == ({"mask token": 1, "decoder": 3} if whole else {})


@pytest.mark.parametrize("normed", [True, False])
def test_simmim_keeps_its_shared_relative_positions(import_file: Import, normed: bool) -> None:
    options = {
        **VIT,
        "use_abs_pos_emb": False,
        "use_rel_pos_bias": False,
        "use_shared_rel_pos_bias": True,
        "init_values": 0.1,
        "global_pool": "token",
        "use_fc_norm": not normed,
    }
    model = randomized("beit_base_patch16_224", **options)
    tensors = {k: v for k, v in model.state_dict().items() if not k.startswith("fc_norm.")}
    published = {
        **prefixed("encoder.", tensors),
        "encoder.mask_token": torch.randn(1, 1, WIDTH),
        "encoder.rel_pos_bias.relative_position_index": torch.zeros(17, 17, dtype=torch.int64),
        "decoder.0.weight": torch.randn(4),
        "decoder.0.bias": torch.randn(4),
    }
    imported = import_file({"model": published})
    assert imported.layout == "simmim"
    assert imported.dropped == {"mask token": 1, "indices": 1, "decoder": 2}
    assert bool(imported.notes) != normed
    with torch.no_grad():
        tokens: Tensor = model.forward_features(IMAGES)  # type: ignore[operator]
        cls = tokens[:, 0]
        feature = cls if normed else torch.nn.functional.layer_norm(cls, (WIDTH,), eps=1e-6)
        assert torch.allclose(features(imported), feature, atol=1e-5)
        (block,) = trace(imported.backbone, IMAGES, first=-1)
        attention = block.attention
        with pytest.raises(PoiseError, match="64 × 64 px: the relative positions"):
            imported.backbone(torch.zeros(1, 3, 64, 64))
    assert torch.allclose(attention.sum(-1), torch.ones(2, 2, 17), atol=1e-5)
    assert (attention - attention.mean()).abs().max() > 1e-3


def dinov2(registers: int, gated: bool) -> tuple[Tensors, Tensor]:
    """A published file of DINOv2, and the [cls] features of timm's own model of it."""
    name = f"vit_{'giant' if gated else 'small'}_patch14{'_reg4' if registers else ''}_dinov2"
    options = {"img_size": 28, "patch_size": 7, "reg_tokens": registers}
    tensors = dict(randomized(name, **options).state_dict())
    if registers:
        tensors["register_tokens"] = tensors.pop("reg_token")
        position = torch.randn(1, 1, WIDTH)
        tensors["pos_embed"] = torch.cat([position, tensors["pos_embed"]], dim=1)
        tensors["cls_token"] = tensors["cls_token"] - position
    swiglu = [("mlp.fc1", "mlp.w12"), ("mlp.fc2", "mlp.w3")] if gated else []
    for ours, theirs in swiglu:
        tensors = {name.replace(ours, theirs): tensor for name, tensor in tensors.items()}
    with torch.no_grad():
        tokens: Tensor = randomized(name, **options).forward_features(IMAGES[..., :28, :28])  # type: ignore[operator]
    return {**tensors, "mask_token": torch.zeros(1, WIDTH)}, tokens[:, 0]


@pytest.mark.parametrize(("registers", "gated"), [(0, False), (4, False), (4, True)])
@pytest.mark.parametrize("chunked", [False, True])
def test_dinov2_is_read_with_registers_swiglu_and_chunks(
    import_file: Import, registers: int, gated: bool, chunked: bool
) -> None:
    tensors, feature = dinov2(registers, gated)
    if chunked:  # the inner number counts over all chunks; one block to a chunk here
        tensors = {re.sub(r"^blocks\.(\d+)\.", r"blocks.\1.\1.", k): v for k, v in tensors.items()}
    imported = import_file(tensors)
    assert imported.layout == "dinov2"
    assert imported.dropped == {"mask token": 1}
    backbone = imported.backbone
    assert isinstance(backbone, VitBackbone)
    assert backbone.num_prefix_tokens == 1 + registers
    assert backbone.position_resampling == ("timm" if registers else "dino")
    with torch.no_grad():
        assert torch.allclose(backbone(IMAGES[..., :28, :28]), feature, atol=1e-5)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_dinov3_is_read_into_rotary_positions(
    import_file: Import, gated: bool, biased: bool
) -> None:
    name = f"vit_small{'_plus' if gated else ''}_patch16_dinov3"
    options = {"img_size": 256, "qkv_bias": biased, "global_pool": "token"}
    model = randomized(name, **options)
    tensors = dict(model.state_dict())
    published: Tensors = {"rope_embed.periods": torch.ones(4), "mask_token": torch.ones(1, WIDTH)}
    renames = [("reg_token", "storage_tokens"), ("gamma_", "ls"), ("fc1_g", "w1"), ("fc1_x", "w2")]
    for key, tensor in tensors.items():
        if key.endswith("v_bias"):
            continue
        if key.endswith("q_bias"):
            values = tensors[key.replace("q_bias", "v_bias")]
            bias = key.replace("q_bias", "qkv.bias")
            published[bias] = torch.cat([tensor, torch.ones(WIDTH), values])
            published[f"{bias}_mask"] = torch.cat([torch.ones(WIDTH), torch.zeros(WIDTH), values])
            continue
        for ours, theirs in renames:
            key = key.replace(ours, theirs)
        key = re.sub(r"(ls[12])$", r"\1.gamma", key)
        published[key.replace("mlp.fc2", "mlp.w3") if gated else key] = tensor
    imported = import_file(published)
    assert imported.layout == "dinov3"
    assert imported.dropped == {"rotary periods": 1, "mask token": 1}
    assert imported.config["image_px"] == 256
    with torch.no_grad():
        backbone = imported.backbone
        assert torch.allclose(backbone(IMAGES), model(IMAGES), atol=1e-5)
        (block,) = trace(backbone, IMAGES, first=-1)
        assert block.attention.shape == (2, 2, 9, 9)


@pytest.mark.slow
def test_a_residual_network_of_dino_is_read(import_file: Import) -> None:
    model = randomized("resnet18", embed_dim=None, depth=None, num_heads=None)
    tensors = prefixed("module.backbone.", dict(model.state_dict()))
    content = {"teacher": {**tensors, **prefixed("module.", dino_head())}}
    imported = import_file(content, wishes=Wishes())
    assert imported.config["backbone"]["name"] == "resnet18"
    assert imported.dropped == {"projection head": 4}
    with torch.no_grad():  # channels come last in Poise, so sums have another order
        torch.testing.assert_close(features(imported), model(IMAGES), rtol=1e-4, atol=1e-3)


def test_half_precision_becomes_single_without_a_change(import_file: Import) -> None:
    halves = {name: tensor.half() for name, tensor in vit_tensors().items()}
    taken = import_file(halves).backbone.state_dict()
    for name, tensor in halves.items():
        assert torch.equal(taken[f"timm_model.{name}"], tensor.float())


@pytest.mark.slow
def test_the_real_dinov2_checkpoint_is_imported_whole(shared_dir: Path) -> None:
    path = shared_dir / "data" / "dinov2-derived-vits14.safetensors"
    if not path.is_file():
        pytest.skip(f"no checkpoint {path}")
    imported, _ = import_backbone(str(path), Options())
    assert imported.layout == "dinov2"
    assert imported.dropped == {"mask token": 1}
    facts = {fact.name: fact.value for fact in imported.facts}
    assert (facts["heads"], facts["grid"]) == ("6", "37 × 37 patches")
    with torch.no_grad():
        feature = imported.backbone(torch.zeros(1, 3, 224, 224))
    assert feature.isfinite().all() and feature.shape == (1, 384)
