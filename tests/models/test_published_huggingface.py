"""Files and folders in the layout of transformers, built key for key from timm's models.

Each tensor has values of its own, so a permuted or transposed one changes the features.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from poise.config import PoiseError
from poise.models.published.loading import Imported
from poise.models.published.shapes import Wishes
from poise.models.published.sources import Options, import_backbone
from tests.models.conftest import DEPTH, HEADS, WIDTH, Tensors, randomized

PX, PATCH = 28, 7
IMAGES = torch.randn(2, 3, PX, PX, generator=torch.Generator().manual_seed(1))
CONFIG: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": HEADS,
    "image_size": PX,
    "patch_size": PATCH,
    "layer_norm_eps": 1e-6,
    "hidden_act": "gelu",
}
PREPROCESSOR = {
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
    "do_center_crop": True,
    "crop_size": {"height": PX, "width": PX},
    "size": {"shortest_edge": 32},
    "resample": 3,
}

COMMON = (
    (r"^(cls_token|register_tokens|mask_token)$", r"embeddings.\1"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.(\d+)\.", r"encoder.layer.\1."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.(query|key|value)\.", r".attention.attention.\1."),
)
VIT = (
    *COMMON,
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
DINOV2 = (*COMMON, (r"\.ls([12])\.gamma", r".layer_scale\1.lambda1"))
SWIGLU = ((r"\.mlp\.fc1\.", ".mlp.weights_in."), (r"\.mlp\.fc2\.", ".mlp.weights_out."))


def in_words_of_transformers(tensors: Tensors, names: tuple[tuple[str, str], ...]) -> Tensors:
    """timm's tensors with queries, keys and values apart, under transformers' names."""
    apart: Tensors = {}
    for name, tensor in tensors.items():
        if ".qkv." in name:
            for part, values in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                apart[name.replace("qkv", part)] = values.clone()
        else:
            apart[name] = tensor
    result: Tensors = {}
    for name, tensor in apart.items():
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        result[name] = tensor.contiguous()
    return result


def write(folder: Path, tensors: Tensors, config: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    return folder


def vit(prefix: str = "") -> tuple[Tensors, Tensor]:
    """ViT's tensors in transformers' layout, and the features of timm's own model of them."""
    options = {"img_size": PX, "patch_size": PATCH}
    model = randomized("vit_tiny_patch16_224", **options)
    tensors = in_words_of_transformers(dict(model.state_dict()), VIT)
    with torch.no_grad():
        tokens: Tensor = model.forward_features(IMAGES)  # type: ignore[operator]
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}, tokens[:, 0]


def dinov2(registers: int, gated: bool) -> tuple[Tensors, Tensor]:
    name = f"vit_{'giant' if gated else 'small'}_patch14{'_reg4' if registers else ''}_dinov2"
    options = {"img_size": PX, "patch_size": PATCH, "reg_tokens": registers}
    model = randomized(name, **options)
    tensors = dict(model.state_dict())
    if registers:  # the position of [cls] is apart from its token
        position = torch.randn(1, 1, WIDTH)
        tensors["register_tokens"] = tensors.pop("reg_token")
        tensors["pos_embed"] = torch.cat([position, tensors["pos_embed"]], dim=1)
        tensors["cls_token"] = tensors["cls_token"] - position
    tensors["mask_token"] = torch.zeros(1, WIDTH)
    with torch.no_grad():
        tokens: Tensor = model.forward_features(IMAGES)  # type: ignore[operator]
    return in_words_of_transformers(tensors, (*DINOV2, *(SWIGLU if gated else ()))), tokens[:, 0]


def features(imported: Imported) -> Tensor:
    with torch.no_grad():
        result: Tensor = imported.backbone(IMAGES)
    return result


def facts(imported: Imported) -> dict[str, str]:
    return {fact.name: fact.value for fact in imported.facts}


def assumed(imported: Imported) -> dict[str, str]:
    """The option that replaces each assumption."""
    return {fact.name: fact.basis.option for fact in imported.facts if fact.basis.option}


@pytest.mark.parametrize("prefix", ["", "vit."])
def test_vit_of_a_folder_has_the_heads_and_the_norm_of_its_config(
    tmp_path: Path, prefix: str
) -> None:
    tensors, expected = vit(prefix)
    tensors[f"{prefix}pooler.dense.weight"] = torch.zeros(WIDTH, WIDTH)
    tensors["classifier.weight"] = torch.zeros(3, WIDTH)
    folder = write(tmp_path / "vit", tensors, {"model_type": "vit"})
    imported, source = import_backbone(str(folder), Options())
    assert torch.allclose(features(imported), expected, atol=1e-5)
    assert imported.layout == "huggingface"
    assert imported.prefix == prefix
    assert imported.dropped == {"pooler": 1, "head": 1}
    assert source.source == "vit"
    assert facts(imported)["heads"] == str(HEADS)
    assert facts(imported)["norm eps"] == "1e-06"
    assert {"mean", "std"} < set(assumed(imported)), "no file says the normalisation"
    assert not {"heads", "grid", "norm eps"} & set(assumed(imported))


def test_twice_the_heads_in_the_config_is_another_model(tmp_path: Path) -> None:
    tensors, expected = vit()
    folder = write(tmp_path / "vit", tensors, {"model_type": "vit", "num_attention_heads": 8})
    imported, _ = import_backbone(str(folder), Options())
    assert facts(imported)["heads"] == "8"
    assert not torch.allclose(features(imported), expected, atol=1e-2)


def test_the_epsilon_of_the_config_is_that_of_every_norm_and_survives_a_package(
    tmp_path: Path,
) -> None:
    from poise.models.package import load_backbone, save_backbone

    tensors, expected = vit()
    folder = write(tmp_path / "vit", tensors, {"model_type": "vit", "layer_norm_eps": 0.5})
    imported, _ = import_backbone(str(folder), Options())
    norms = [m for m in imported.backbone.modules() if isinstance(m, torch.nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {0.5}
    assert not torch.allclose(features(imported), expected, atol=1e-2)
    save_backbone(tmp_path / "package", imported.backbone, imported.config)
    again, _ = load_backbone(tmp_path / "package")
    with torch.no_grad():
        assert torch.equal(again(IMAGES), features(imported))


def test_a_preprocessor_beside_the_weights_decides_normalisation_and_size(tmp_path: Path) -> None:
    folder = write(tmp_path / "vit", vit()[0], {"model_type": "vit"})
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    imported, _ = import_backbone(str(folder), Options())
    assert imported.config["normalization"] == {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    assert imported.config["evaluation_px"] == PX
    assert assumed(imported) == {}
    bilinear = {**PREPROCESSOR, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(bilinear))
    imported, _ = import_backbone(str(folder), Options())
    assert imported.config["interpolation"] == "bilinear"
    assert any("bilinear" in note for note in imported.notes)


@pytest.mark.parametrize(
    ("change", "mean", "std"),
    [
        ({"do_normalize": False}, [0, 0, 0], [1, 1, 1]),
        (
            {"do_rescale": False, "image_mean": [127.5, 102, 76.5], "image_std": [51, 76.5, 102]},
            [0.5, 0.4, 0.3],
            [0.2, 0.3, 0.4],
        ),
        ({"rescale_factor": 1 / 127.5}, [0.25, 0.2, 0.15], [0.1, 0.15, 0.2]),
    ],
)
def test_images_that_a_preprocessor_does_not_scale_to_1_are_normalised_as_it_does(
    tmp_path: Path, change: dict[str, Any], mean: list[float], std: list[float]
) -> None:
    # Only image_mean and image_std were read, so such images were normalised as others.
    tensors, _ = vit()
    folder = write(tmp_path / "vit", tensors, {"model_type": "vit"})
    (folder / "preprocessor_config.json").write_text(json.dumps({**PREPROCESSOR, **change}))
    normalization = import_backbone(str(folder), Options())[0].config["normalization"]
    assert normalization["mean"] == pytest.approx(mean)
    assert normalization["std"] == pytest.approx(std)


@pytest.mark.parametrize(
    "change",
    [
        {"image_mean": [123.7, 116.3, 103.5]},
        {"image_std": [0, 0, 0]},
        {"rescale_factor": 0},
        {"image_mean": 0.5},
    ],
)
def test_statistics_that_no_images_have_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    tensors, _ = vit()
    folder = write(tmp_path / "vit", tensors, {"model_type": "vit"})
    (folder / "preprocessor_config.json").write_text(json.dumps({**PREPROCESSOR, **change}))
    with pytest.raises(PoiseError, match=r"preprocessor_config.json: has no image_mean and"):
        import_backbone(str(folder), Options())


def test_mae_is_read_without_its_decoder(tmp_path: Path) -> None:
    tensors, _ = vit("vit.")
    tensors["vit.embeddings.position_embeddings"][:, 0] = 0
    for name in ("mask_token", "decoder_embed.weight", "decoder_layers.0.output.dense.bias"):
        tensors[f"decoder.{name}"] = torch.zeros(8)
    folder = write(tmp_path / "mae", tensors, {"model_type": "vit_mae"})
    imported, _ = import_backbone(str(folder), Options())
    assert imported.dropped == {"decoder": 3}
    assert not {"mean", "std"} & set(assumed(imported)), "MAE's normalisation is published"


@pytest.mark.parametrize(("registers", "gated"), [(0, False), (4, False), (0, True), (4, True)])
def test_dinov2_is_read_with_registers_layer_scale_and_swiglu(
    tmp_path: Path, registers: int, gated: bool
) -> None:
    tensors, expected = dinov2(registers, gated)
    kind = "dinov2_with_registers" if registers else "dinov2"
    config = {"model_type": kind, "use_swiglu_ffn": gated}
    config |= {"num_register_tokens": registers} if registers else {}
    imported, _ = import_backbone(str(write(tmp_path / "dino", tensors, config)), Options())
    assert torch.allclose(features(imported), expected, atol=1e-5)
    assert imported.dropped == {"mask token": 1}
    assert not {"mean", "std", "heads", "grid"} & set(assumed(imported))


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_dinov3_is_read_with_registers_and_a_gated_mlp(
    tmp_path: Path, gated: bool, biased: bool
) -> None:
    tensors, expected = dinov3(gated, biased)
    config = {
        "model_type": "dinov3_vit",
        "patch_size": 16,
        "image_size": 224,
        "num_register_tokens": 4,
        "layer_norm_eps": 1e-5,
        "use_gated_mlp": gated,
        "hidden_act": "silu" if gated else "gelu",
        "rope_theta": 100.0,
    }
    imported, _ = import_backbone(str(write(tmp_path / "dino", tensors, config)), Options())
    with torch.no_grad():
        found = imported.backbone(torch.ones(1, 3, 32, 48))
    assert torch.allclose(found, expected, atol=1e-5)
    assert "heads" not in assumed(imported)


def dinov3(gated: bool, biased: bool) -> tuple[Tensors, Tensor]:
    name = f"vit_small{'_plus' if gated else ''}_patch16_dinov3"
    model = randomized(name, img_size=256, qkv_bias=biased, global_pool="token")
    names = (
        (r"^cls_token$", "embeddings.cls_token"),
        (r"^reg_token$", "embeddings.register_tokens"),
        (r"^patch_embed\.proj\.", "embeddings.patch_embeddings."),
        (r"^blocks\.", "layer."),
        (r"\.attn\.q_bias$", ".attention.q_proj.bias"),
        (r"\.attn\.v_bias$", ".attention.v_proj.bias"),
        (r"\.attn\.(q|k|v)[a-z]+\.weight$", r".attention.\1_proj.weight"),
        (r"\.attn\.proj\.", ".attention.o_proj."),
        (r"\.gamma_([12])$", r".layer_scale\1.lambda1"),
        (r"\.mlp\.fc1_g\.", ".mlp.gate_proj."),
        (r"\.mlp\.fc1(_x)?\.", ".mlp.up_proj."),
        (r"\.mlp\.fc2\.", ".mlp.down_proj."),
    )
    tensors = in_words_of_transformers(dict(model.state_dict()), names)
    tensors["embeddings.mask_token"] = torch.zeros(1, 1, WIDTH)
    with torch.no_grad():
        return tensors, model(torch.ones(1, 3, 32, 48))


def test_a_sharded_folder_is_read_whole_and_a_missing_shard_is_named(tmp_path: Path) -> None:
    tensors, expected = vit()
    folder = write(tmp_path / "vit", tensors, {"model_type": "vit"})
    (folder / "model.safetensors").unlink()
    names = list(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2],
             "model-00002-of-00002.safetensors": names[1::2]}  # fmt: skip
    for file, held in parts.items():
        save_file({name: tensors[name] for name in held}, folder / file)
    weight_map = {name: file for file, held in parts.items() for name in held}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    imported, source = import_backbone(str(folder), Options())
    assert torch.allclose(features(imported), expected, atol=1e-5)
    assert source.sha256 is not None
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(PoiseError, match=r"shard model-00002-of-00002.safetensors is missing"):
        import_backbone(str(folder), Options())
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    with pytest.raises(PoiseError, match="is not a file in the same folder"):
        import_backbone(str(folder), Options())


def test_a_file_alone_says_what_was_assumed(tmp_path: Path) -> None:
    tensors, _ = vit()
    save_file(tensors, tmp_path / "weights.safetensors")
    wishes = Wishes(num_heads=HEADS)
    imported, _ = import_backbone(str(tmp_path / "weights.safetensors"), Options(wishes=wishes))
    assert facts(imported)["norm eps"] == "1e-12", "transformers' default"
    assert assumed(imported)["norm eps"] == "--norm-eps"
    assert assumed(imported)["mean"] == "--mean and --std"
    assert "heads" not in assumed(imported)


def test_the_weights_of_a_folder_are_read_with_the_config_beside_them(tmp_path: Path) -> None:
    folder = write(tmp_path / "vit", vit()[0], {"model_type": "vit"})
    imported, _ = import_backbone(str(folder / "model.safetensors"), Options())
    assert "heads" not in assumed(imported)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "swin"}, "model_type=swin: Poise reads vit, vit_mae, dinov2"),
        ({"num_attention_heads": None}, "num_attention_heads=None: needs a whole number"),
        ({"num_hidden_layers": 3}, "2 blocks, but config.json has 3"),
        ({"hidden_size": 64}, "hidden_size=64, but the weights are of a model with 32"),
        ({"image_size": 35}, r"5 × 5 patches, which do not match"),
        ({"hidden_act": "mish"}, "hidden_act=mish: Poise knows gelu"),
        ({"num_register_tokens": 4}, "num_register_tokens=4, but the weights .* with 0"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps=small: needs a number"),
    ],
)
def test_a_config_that_is_not_of_these_weights_is_refused(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    folder = write(tmp_path / "vit", vit()[0], {"model_type": "vit", **config})
    with pytest.raises(PoiseError, match=message):
        import_backbone(str(folder), Options())


def test_an_option_that_contradicts_the_config_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "vit", vit()[0], {"model_type": "vit"})
    with pytest.raises(PoiseError, match=r"--heads 8: .*config.json says 2; leave --heads out"):
        import_backbone(str(folder), Options(wishes=Wishes(num_heads=8)))
    with pytest.raises(PoiseError, match=r"--architecture vit_tiny_patch16_224: .*leave it out"):
        wishes = Wishes(architecture="vit_tiny_patch16_224")
        import_backbone(str(folder), Options(wishes=wishes))


def test_keys_without_their_queries_are_a_file_cut_short(tmp_path: Path) -> None:
    tensors, _ = vit()
    del tensors["encoder.layer.1.attention.attention.query.weight"]
    folder = write(tmp_path / "vit", tensors, {"model_type": "vit"})
    with pytest.raises(PoiseError, match=r"blocks\.1\.attn\.qkv\.weight: query missing"):
        import_backbone(str(folder), Options())
