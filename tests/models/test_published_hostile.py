"""Checkpoints as training programs leave them, and checkpoints that are no weights at all."""

import json
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from poise.config import PoiseError
from poise.models.published.shapes import Wishes
from poise.models.published.sources import Options, import_backbone
from tests.models.conftest import HEADS, WIDTH, Import, randomized
from tests.models.test_published_layouts import VIT, dino_head, prefixed, vit_tensors
from tests.models.test_published_prefixes import same_values

WISHES = Wishes(num_heads=HEADS)
HEADER = {
    "backbone": {"name": "vit_tiny_patch16_224"},
    "image_px": 32,
    "normalization": {"mean": [0.5] * 3, "std": [0.5] * 3},
}


@pytest.mark.parametrize(
    "wrapper",
    [
        "_orig_mod",
        "_fsdp_wrapped_module",
        "_checkpoint_wrapped_module",
        "_fsdp_wrapped_module._orig_mod",
    ],
)
@pytest.mark.parametrize("part", ["blocks.0.", "patch_embed.", ""])
def test_what_pytorch_wraps_around_a_module_is_no_part_of_its_name(
    import_file: Import, wrapper: str, part: str
) -> None:
    # A wrapper inside the names made the backbone incomplete, or hid it.
    tensors = vit_tensors()
    wrapped = {
        name.replace(part, f"{part}{wrapper}.", 1) if name.startswith(part) else name: tensor
        for name, tensor in tensors.items()
    }
    assert same_values(import_file(wrapped), tensors)


def test_one_tensor_inside_and_outside_a_wrapper_is_refused(import_file: Import) -> None:
    tensors = vit_tensors()
    with pytest.raises(PoiseError, match=r"holds norm.bias twice"):
        import_file({**tensors, "_orig_mod.norm.bias": tensors["norm.bias"] + 1})


def test_the_mask_token_of_ibots_student_is_no_part_of_the_backbone(import_file: Import) -> None:
    tensors = vit_tensors()
    student = {**prefixed("backbone.", {**tensors, "masked_embed": torch.zeros(1, WIDTH)})}
    imported = import_file(
        {"student": prefixed("module.", {**student, **dino_head()}), "teacher": {}},
        checkpoint_key="student",
    )
    assert same_values(imported, tensors)
    assert imported.dropped == {"mask token": 1, "projection head": 4}


def test_layer_scale_by_deit_iiis_names_is_read(import_file: Import) -> None:
    tensors = dict(randomized("vit_tiny_patch16_224", init_values=0.1, **VIT).state_dict())
    theirs = {
        name.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): tensor
        for name, tensor in tensors.items()
    }
    assert same_values(import_file(theirs), tensors)


def test_the_end_of_a_prefix_chooses_a_backbone_too(import_file: Import) -> None:
    tensors = vit_tensors()
    other = {name: tensor + 1 for name, tensor in tensors.items()}
    content = {
        **prefixed("module.base_encoder.", tensors),
        **prefixed("module.momentum_encoder.", other),
    }
    chosen = import_file(content, wishes=Wishes(num_heads=HEADS, prefix="base_encoder"))
    assert same_values(chosen, tensors)


@pytest.mark.parametrize(
    "others",
    [
        {"best_top1": np.float64(76.1), "history": np.zeros(3), "step": np.int64(5)},
        {"output": Path("/runs/a")},
    ],
)
def test_plain_values_beside_the_tensors_are_no_code(import_file: Import, others: Any) -> None:
    # NumPy's numbers were refused: "loading it would run numpy._core.multiarray.scalar".
    tensors = vit_tensors()
    assert same_values(import_file({"model": tensors, **others}), tensors)


def test_entries_that_hold_themselves_or_have_numbers_as_names_are_searched(
    import_file: Import,
) -> None:
    tensors = vit_tensors()
    content: dict[Any, Any] = {0: tensors}
    content["self"] = content
    assert same_values(import_file(content), tensors)
    assert same_values(import_file(content, checkpoint_key="0"), tensors)
    nested: dict[str, Any] = {}
    for _ in range(200):
        nested = {"inside": nested}
    with pytest.raises(PoiseError, match="holds no tensors by name"):
        import_file(nested)


@pytest.mark.parametrize("name", ["weights.pth", "weights", "weights.SAFETENSORS", "weights.bin"])
def test_a_safetensors_file_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    tensors = vit_tensors()
    save_file(tensors, tmp_path / name, {"format": "pt"})
    for source in (str(tmp_path / name), (tmp_path / name).as_uri()):
        assert same_values(import_backbone(source, Options(wishes=WISHES))[0], tensors)


def test_a_file_of_torch_under_the_ending_of_safetensors_is_read(tmp_path: Path) -> None:
    tensors = vit_tensors()
    torch.save(tensors, tmp_path / "weights.safetensors")
    imported, _ = import_backbone(str(tmp_path / "weights.safetensors"), Options(wishes=WISHES))
    assert same_values(imported, tensors)


def changed(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**vit_tensors(), name: tensor}


QKV = "blocks.0.attn.qkv.weight"


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        (changed(QKV, torch.ones(96, WIDTH, dtype=torch.int8)), "holds int8 .*were quantised"),
        (changed("norm.weight", torch.ones(WIDTH) > 0), "holds bool numbers"),
        (changed("norm.weight", torch.ones(WIDTH) * 1j), "holds complex64 numbers; Poise reads"),
        (changed(QKV, torch.ones(96, WIDTH).to(torch.float8_e4m3fn)), "holds float8_e4m3fn"),
        (changed("norm.weight", torch.ones(WIDTH).double() * 1e200), "beyond the range of float32"),
        (changed("norm.weight", torch.ones(WIDTH).double() * 1e200 * 1e200), "NaN or infinite"),
        (changed("cls_token", torch.zeros(1, 1, WIDTH, device="meta")), "a shape and no values"),
        (changed("patch_embed.proj.weight", torch.zeros(WIDTH, 3, 0, 0)), "is empty"),
        (changed("patch_embed.proj.weight", torch.zeros(WIDTH, 3, 2, 8, 8)), "has 4 dimensions"),
        (changed("blocks.0.mlp.fc1.weight", torch.zeros(4)), "has 2 dimensions there"),
        (changed("reg_token", torch.zeros(4)), "has 3 dimensions there"),
        (changed("blocks.999999999.norm1.weight", torch.zeros(WIDTH)), "no block 2, so the file"),
    ],
)  # fmt: skip
def test_a_tensor_that_is_no_weight_is_named(
    import_file: Import, tensors: dict[str, torch.Tensor], why: str
) -> None:
    # Whole numbers became weights, an overflow became inf, and the rest was a traceback or, for a
    # block of a huge number, no end.
    with pytest.raises(PoiseError, match=rf"published.pth: .*{why}") as caught:
        import_file(tensors)
    assert "\n" not in str(caught.value)


def junk(folder: Path) -> dict[str, str]:
    """Sources that are no checkpoint, by the words that say so."""
    good = folder / "good.safetensors"
    save_file(vit_tensors(), good, {"format": "pt"})
    content = good.read_bytes()
    (folder / "cut.safetensors").write_bytes(content[: len(content) // 2])
    (folder / "empty.safetensors").touch()
    (folder / "empty.pth").touch()
    (folder / "folder.pth").mkdir()
    os.mkfifo(folder / "pipe.pth")
    (folder / "lists.index.json").write_text(json.dumps({"weight_map": {}}))
    (folder / "itself.index.json").write_text(
        json.dumps({"weight_map": {"a": "itself.index.json"}})
    )
    torch.save(vit_tensors(), folder / "whole.pth")
    whole = (folder / "whole.pth").read_bytes()
    (folder / "cut.pth").write_bytes(whole[: len(whole) // 2])
    torch.save(defaultdict(dict, {"model": vit_tensors()}), folder / "default.pth")
    names = {
        "cut.safetensors": "not complete, so get it again",
        "empty.safetensors": "not complete, so get it again",
        "empty.pth": "is no checkpoint, or a damaged one",
        "cut.pth": "is no checkpoint, or a damaged one",
        "folder.pth": "neither a package nor a folder of Hugging Face",
        "pipe.pth": "neither a file nor a folder",
        "lists.index.json": "it lists no shard",
        "itself.index.json": "is not a file in the same folder",
        "default.pth": "would run collections.defaultdict",
        f"{'a' * 300}.pth": "File name too long",
    }
    return {str(folder / name): words for name, words in names.items()} | {
        "/dev/null": "neither a file nor a folder",
        "~nobody-of-that-name/a.pth": "there is no home folder",
        "facebook/dino-vits16": "if it is a name on Hugging Face, fetch its folder",
        "  ": "SOURCE is empty",
    }


def test_what_is_no_checkpoint_is_one_line_that_says_why(tmp_path: Path) -> None:
    for source, words in junk(tmp_path).items():
        with pytest.raises(PoiseError) as caught:
            import_backbone(source, Options())
        assert words in str(caught.value) and "\n" not in str(caught.value), source


def test_a_torchscript_program_is_named(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "script"), "zip", *archive(tmp_path))
    (tmp_path / "script.zip").rename(tmp_path / "script.pt")
    with pytest.raises(PoiseError, match=r"is a TorchScript program; .*save its state_dict"):
        import_backbone(str(tmp_path / "script.pt"), Options())


def archive(folder: Path) -> tuple[Path, str]:
    """A folder with the files that torch.jit.save writes."""
    (folder / "program" / "script").mkdir(parents=True)
    (folder / "program" / "script" / "constants.pkl").touch()
    return folder / "program", "script"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"normalization": {"mean": [0, 0, 0], "std": [0, 0, 0]}}, "are not above 0"),
        ({"normalization": {"mean": [0.5], "std": [0.5]}}, "three means"),
        ({"normalization": {"mean": [123, 116, 103], "std": [1, 1, 1]}}, "are not from 0 to 1"),
        ({"image_px": -32}, "sides of -32"),
        ({"backbone": None}, "does not describe a backbone"),
    ],
)
def test_a_header_that_describes_no_backbone_is_refused(
    tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    # Standard deviations of 0 were divided by.
    path = tmp_path / "ours.safetensors"
    save_file(vit_tensors(), path, {"poise": json.dumps({**HEADER, **change})})
    with pytest.raises(PoiseError, match=why):
        import_backbone(str(path), Options())
    save_file(vit_tensors(), path, {"poise": "[1]"})
    with pytest.raises(PoiseError, match="is no JSON object"):
        import_backbone(str(path), Options())


def test_a_timm_folder_with_arguments_that_its_model_does_not_take_is_one_line(
    tmp_path: Path,
) -> None:
    config = {
        "architecture": "vit_tiny_patch16_224",
        "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 32, 32]},
    }
    save_file(vit_tensors(), tmp_path / "model.safetensors")
    for arguments in ({"wings": 2}, {"embed_dim": 30, "num_heads": 4}, {"depth": "two"}):
        content = {**config, "model_args": arguments}
        (tmp_path / "config.json").write_text(json.dumps(content))
        with pytest.raises(PoiseError, match=r"model_args=.*vit_tiny_patch16_224 does not take"):
            import_backbone(str(tmp_path), Options())


def test_a_model_that_pools_by_attention_is_refused_by_its_name(import_file: Import) -> None:
    # The advice was about an option of recipes, which an import does not have.
    wishes = Wishes(architecture="vit_base_patch16_siglip_224")
    with pytest.raises(PoiseError, match=r"siglip_224: pools by attention, which Poise does not"):
        import_file(vit_tensors(), wishes=wishes)
