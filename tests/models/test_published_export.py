"""Out and in again: the same values under every layout's names, and in timm itself."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

from poise.config import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.package import save_backbone
from poise.models.published.export import export_backbone
from poise.models.published.fit import difference_of
from poise.models.published.shapes import Wishes
from poise.models.published.sources import Options, import_backbone
from tests.backbone_kinds import BACKBONES, NORMALIZATION, SIZE, VIT, made, same


@pytest.mark.slow
@pytest.mark.parametrize("kind", BACKBONES)
def test_timm_loads_the_file_and_poise_reads_it_back_with_all_that_it_was(
    tmp_path: Path, kind: str
) -> None:
    backbone, config = made(kind)
    path = export_backbone(backbone, config, tmp_path / "out.safetensors", "timm")
    twin = build_backbone(BACKBONES[kind], 64).timm_model
    twin.load_state_dict(load_file(path))
    assert same(twin, backbone.timm_model)

    imported, origin = import_backbone(str(path), Options())
    assert same(imported.backbone, backbone)
    assert imported.config == config
    assert imported.mapped == 0
    assert origin.source == "out.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("kind", BACKBONES)
def test_timm_creates_the_model_from_its_hugging_face_folder(tmp_path: Path, kind: str) -> None:
    backbone, config = made(kind)
    folder = export_backbone(backbone, config, tmp_path / "out", "huggingface")
    twin = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert same(twin, backbone.timm_model)
    prepared = timm.data.resolve_data_config(model=twin)
    assert list(prepared["mean"]) == NORMALIZATION["mean"]
    assert list(prepared["input_size"]) == [3, config["evaluation_px"], config["evaluation_px"]]
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert difference_of(backbone(images), twin(images)) <= 1e-5

    imported, _ = import_backbone(str(folder), Options())
    assert same(imported.backbone, backbone)
    assert imported.config["image_px"] == (224 if kind == "resnet" else 64)  # sizes its positions
    assert imported.config["evaluation_px"] == config["evaluation_px"]
    assert imported.config["normalization"] == NORMALIZATION
    with torch.no_grad():
        assert torch.equal(imported.backbone(images), backbone(images))


@pytest.mark.parametrize("layout", ["dino", "mae"])
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_published_layouts_round_trip_to_the_bit(tmp_path: Path, layout: str, ending: str) -> None:
    backbone, config = made("vit")
    path = export_backbone(backbone, config, tmp_path / f"out.{ending}", layout)
    if ending == "pth":
        published = torch.load(path, weights_only=True)
        (tensors,) = published.values()
        assert list(published) == [{"dino": "teacher", "mae": "model"}[layout]]
        assert all(name.startswith("backbone.") == (layout == "dino") for name in tensors)
    # The header of a safetensors file says the heads; a .pth file has none.
    wishes = Wishes(num_heads=2) if ending == "pth" else Wishes()
    imported, _ = import_backbone(str(path), Options(wishes=wishes))
    assert same(imported.backbone, backbone)
    again = tmp_path / f"again.{ending}"
    export_backbone(imported.backbone, imported.config, again, layout)
    assert file_tensors(again).keys() == file_tensors(path).keys()
    assert all(torch.equal(file_tensors(again)[k], v) for k, v in file_tensors(path).items())


def file_tensors(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        return dict(load_file(path))
    (tensors,) = torch.load(path, weights_only=True).values()
    return dict(tensors)


@pytest.mark.slow
def test_dino_names_a_residual_network_too(tmp_path: Path) -> None:
    backbone, config = made("resnet")
    path = export_backbone(backbone, config, tmp_path / "out.pth", "dino")
    assert same(import_backbone(str(path), Options())[0].backbone, backbone)


@pytest.mark.parametrize(
    ("kind", "layout", "name"),
    [("registers", "dino", "reg_token"), ("beit", "mae", "rel_pos"), ("resnet", "mae", "conv1")],
)
def test_a_layout_without_names_for_a_part_is_refused(
    tmp_path: Path, kind: str, layout: str, name: str
) -> None:
    backbone, config = made(kind)
    with pytest.raises(PoiseError, match="its published models have no"):
        export_backbone(backbone, config, tmp_path / "out.pth", layout)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "name", "options", "message"),
    [
        ("mae", VIT, {"act_layer": "gelu_tanh"}, "cannot say backbone.options.act_layer=gelu_tanh"),
        ("mae", VIT, {"global_pool": "avg"}, "have no fc_norm.weight and 1 other"),
        ("dino", VIT, {"global_pool": "avg", "fc_norm": False}, "say backbone.options.global_pool"),
        ("dino", VIT, {"class_token": False, "global_pool": "avg", "fc_norm": False},
         "also have cls_token"),
        ("dino", VIT, {"no_embed_class": True}, "pos_embed is [1, 64, 32], and published ones "
         "[1, 65, 32]"),
        ("mae", VIT, {"qkv_bias": False}, "also have blocks.0.attn.qkv.bias and 1 other"),
        ("dino", "vit_base_patch16_clip_quickgelu_224", {"pre_norm": False}, "compute other "
         "features from the weights of vit_base_patch16_clip_quickgelu_224"),
        ("dino", "vit_so400m_patch16_siglip_gap_256", {"class_token": True, "mlp_ratio": 4},
         "compute other features from the weights of vit_so400m"),
        ("dino", "resnet10t", None, "resnet10t is not one of its published residual networks"),
        ("dino", "resnet26d", None, "not one of its published residual"),
        ("dino", "resnet50d", None, "have no conv1.0.weight and"),
    ],
)  # fmt: skip
def test_what_the_published_files_cannot_say_is_refused_not_lost(
    tmp_path: Path, layout: str, name: str, options: dict[str, Any] | None, message: str
) -> None:
    own = {} if options is None else {**SIZE, **options}
    described = BackboneConfig(name=name, options=own)
    backbone = build_backbone(described, 64).eval()
    config = {"backbone": described.model_dump(mode="json"), "image_px": 64}
    with pytest.raises(PoiseError, match=re.escape(message)) as error:
        export_backbone(backbone, config, tmp_path / "out.pth", layout)
    assert str(error.value).startswith(f"--format {layout}: ")
    assert str(error.value).endswith("; export as timm or huggingface")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_endings_must_suit(tmp_path: Path) -> None:
    backbone, config = made("vit")
    (tmp_path / "notes.pth").write_text("mine")
    with pytest.raises(PoiseError, match="already exists"):
        export_backbone(backbone, config, tmp_path / "notes.pth", "dino")
    with pytest.raises(PoiseError, match=r"writes \.safetensors files"):
        export_backbone(backbone, config, tmp_path / "out.pth", "timm")
    with pytest.raises(PoiseError, match="--format onnx: choose from"):
        export_backbone(backbone, config, tmp_path / "out", "onnx")


def test_a_package_is_imported_as_it_is(tmp_path: Path) -> None:
    backbone, config = made("registers")
    save_backbone(tmp_path / "package", backbone, config)
    imported, _ = import_backbone(str(tmp_path / "package"), Options())
    assert same(imported.backbone, backbone)
    assert imported.config == config


@pytest.mark.slow
def test_a_file_in_timms_names_is_read_as_the_model_that_is_named(tmp_path: Path) -> None:
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    wishes = Wishes(architecture="vit_tiny_patch16_224")
    imported, _ = import_backbone(str(tmp_path / "weights.pth"), Options(wishes=wishes))
    assert same(imported.backbone.timm_model, model)
    with pytest.raises(PoiseError, match="not complete"):
        wishes = Wishes(architecture="vit_tiny_r_s16_p8_224")
        import_backbone(str(tmp_path / "weights.pth"), Options(wishes=wishes))


@pytest.mark.slow
def test_a_named_dinov2_is_evaluated_and_resized_as_published(tmp_path: Path) -> None:
    model = timm.create_model("vit_small_patch14_reg4_dinov2", num_classes=0)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    wishes = Wishes(architecture="vit_small_patch14_reg4_dinov2.lvd142m")
    imported, _ = import_backbone(str(tmp_path / "weights.pth"), Options(wishes=wishes))
    assert same(imported.backbone.timm_model, model)
    assert (imported.config["image_px"], imported.config["evaluation_px"]) == (518, 224)
    assert imported.config["backbone"]["position_resampling"] == "timm"


def test_a_folder_that_describes_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="neither a package nor a folder of Hugging"):
        import_backbone(str(tmp_path), Options())
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tiny_patch16_224"}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(PoiseError, match="does not describe a timm model"):
        import_backbone(str(tmp_path), Options())
