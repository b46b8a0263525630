import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from poise.config import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.checksums import verify_package, write_checksums
from poise.models.package import load_backbone, load_untrained, save_backbone
from tests.packages import save_package

TINY = BackboneConfig(
    name="vit_tiny_patch16_224",
    num_registers=2,
    options={"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
)
CONFIG = {
    "backbone": TINY.model_dump(mode="json"),
    "image_px": 32,
    "normalization": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    "lineage": {"recipe": "dino-tiny"},
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    save_backbone(tmp_path / "package", build_backbone(TINY, 32), CONFIG)
    return tmp_path / "package"


def test_a_loaded_backbone_gives_the_very_features_that_were_saved(tmp_path: Path) -> None:
    backbone = build_backbone(TINY, 32).eval()
    save_backbone(tmp_path / "package", backbone, CONFIG)
    loaded, config = load_backbone(tmp_path / "package")
    images = torch.randn(2, 3, 32, 32)
    assert config == CONFIG
    assert not loaded.training
    assert torch.equal(loaded(images), backbone(images))


def test_a_package_holds_its_three_files_and_nothing_that_runs(package: Path) -> None:
    names = {path.name for path in package.iterdir()}
    assert names == {"backbone.safetensors", "config.json", "checksums.json"}
    assert set(verify_package(package)) == names - {"checksums.json"}


def test_the_weights_are_as_readable_as_the_config(package: Path) -> None:
    weights, config = (package / name for name in ("backbone.safetensors", "config.json"))
    assert weights.stat().st_mode == config.stat().st_mode


def test_the_weights_carry_timms_own_names(package: Path) -> None:
    model = build_backbone(TINY, 32).timm_model
    assert load_file(package / "backbone.safetensors").keys() == model.state_dict().keys()


def test_saving_again_replaces_a_package_but_nothing_else(package: Path, tmp_path: Path) -> None:
    save_backbone(package, build_backbone(TINY, 32), CONFIG)
    load_backbone(package)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(PoiseError, match="photos: holds other files"):
        save_backbone(tmp_path / "photos", build_backbone(TINY, 32), CONFIG)
    assert {path.name for path in tmp_path.iterdir()} == {"package", "photos"}


def test_one_changed_byte_is_found(package: Path) -> None:
    weights = package / "backbone.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(PoiseError, match="safetensors: missing, or not what"):
        load_backbone(package)


@pytest.mark.parametrize("file", ["backbone.safetensors", "config.json", "checksums.json"])
def test_a_missing_file_is_named(package: Path, file: str) -> None:
    (package / file).unlink()
    with pytest.raises(PoiseError, match=file):
        load_backbone(package)


def test_weights_of_another_architecture_are_refused(package: Path, tmp_path: Path) -> None:
    deeper = CONFIG | {"backbone": TINY.model_dump(mode="json") | {"num_registers": 0}}
    save_backbone(tmp_path / "mixed", build_backbone(TINY, 32), deeper)
    with pytest.raises(PoiseError, match="do not fit"):
        load_backbone(tmp_path / "mixed")


def test_what_does_not_fit_is_told_by_its_first_names_and_their_number(tmp_path: Path) -> None:
    deep = TINY.model_copy(update={"options": {**TINY.options, "depth": 9}})
    config = CONFIG | {"backbone": deep.model_dump(mode="json")}
    save_backbone(tmp_path / "shallow", build_backbone(TINY, 32), config)
    lacks = r"it lacks blocks\.2\.norm1\.weight, blocks\.2\.norm1\.bias, \S+ and 81 more$"
    with pytest.raises(PoiseError, match=lacks):
        load_backbone(tmp_path / "shallow")
    save_backbone(tmp_path / "resized", build_backbone(TINY, 64), CONFIG)
    with pytest.raises(PoiseError, match=r"of another shape are pos_embed$"):
        load_backbone(tmp_path / "resized")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_package_whose_weights_are_not_finite_is_refused_by_the_name_of_the_tensor(
    tmp_path: Path, value: float
) -> None:
    backbone = build_backbone(TINY, 32)
    with torch.no_grad():
        backbone.timm_model.blocks[1].mlp.fc1.weight[0, 0] = value
    save_backbone(tmp_path / "package", backbone, CONFIG)
    with pytest.raises(PoiseError, match=r"package: blocks\.1\.mlp\.fc1\.weight in .* NaN"):
        load_backbone(tmp_path / "package")


def rewritten(package: Path, change: Callable[[Path], None]) -> Path:
    """A package that was changed and given new checksums."""
    change(package)
    (package / "checksums.json").unlink()
    write_checksums(package)
    return package


@pytest.mark.parametrize("dtype", [torch.int32, torch.int8, torch.complex64])
def test_weights_that_are_no_floating_point_numbers_are_refused(
    package: Path, dtype: torch.dtype
) -> None:
    # They were cut to whole numbers without a word, and the backbone got an accuracy.
    def quantise(folder: Path) -> None:
        path = folder / "backbone.safetensors"
        weights = {name: tensor.to(dtype) for name, tensor in load_file(path).items()}
        save_file(weights, path)

    with pytest.raises(PoiseError, match=r"no floating-point numbers \(quantised\?\) are "):
        load_backbone(rewritten(package, quantise))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_px", 0),
        ("image_px", "32"),
        ("evaluation_px", -4),
        ("evaluation_px", True),
        ("evaluation_px", 30),
        ("lineage", [1]),
    ],
)
def test_a_config_with_an_impossible_value_is_refused_with_the_value(
    package: Path, key: str, value: object
) -> None:
    def change(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(CONFIG | {key: value}))

    with pytest.raises(PoiseError, match=rf"config.json has {key}=.*get the package again"):
        load_backbone(rewritten(package, change))


def test_checksums_cannot_point_outside_the_package(package: Path) -> None:
    path = package / "checksums.json"
    listed = json.loads(path.read_text())
    path.write_text(json.dumps(listed | {"../secret": {"bytes": 0, "sha256": ""}}))
    with pytest.raises(PoiseError, match="does not list the files of a backbone package"):
        load_backbone(package)


def test_an_untrained_backbone_has_the_architecture_alone(tmp_path: Path) -> None:
    package = save_package(tmp_path / "p", num_registers=2, lineage={"run_id": "a" * 32})
    trained, _ = load_backbone(package)
    with torch.no_grad():
        for weights in trained.parameters():
            weights.add_(1)
    save_backbone(package, trained, json.loads((package / "config.json").read_text()))
    torch.manual_seed(5)
    first, config = load_untrained(package)
    torch.manual_seed(6)
    second, _ = load_untrained(package)
    names = trained.state_dict().keys()
    assert first.state_dict().keys() == names
    assert all(torch.equal(first.state_dict()[n], second.state_dict()[n]) for n in names)
    assert not any(torch.equal(first.state_dict()[n], trained.state_dict()[n]) for n in names)
    assert "lineage" not in config
    assert config["normalization"]
