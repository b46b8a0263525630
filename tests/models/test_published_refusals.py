"""What is refused, and in which words: loading nothing must never look like success."""

import os
from pathlib import Path

import pytest
import torch

from poise.config import PoiseError
from poise.models.published.shapes import Wishes
from poise.models.published.sources import Options, import_backbone
from tests.models.conftest import Import
from tests.models.test_published_layouts import dino_head, vit_tensors


@pytest.mark.parametrize("gone", ["norm.bias", "blocks.0.attn.qkv.weight", "cls_token"])
def test_a_missing_tensor_is_named(import_file: Import, gone: str) -> None:
    tensors = vit_tensors()
    del tensors[gone]
    with pytest.raises(PoiseError, match=r"published.pth: .*(not complete: 1 of|fc_norm|pos)"):
        import_file(tensors)


def test_a_backbone_without_its_blocks_is_refused(import_file: Import) -> None:
    tensors = {k: v for k, v in vit_tensors().items() if not k.startswith("blocks.")}
    with pytest.raises(PoiseError, match=r"published.pth: there are no blocks"):
        import_file(tensors)


def test_a_head_alone_is_no_backbone(import_file: Import) -> None:
    with pytest.raises(PoiseError, match=r"4 tensors such as teacher.head.mlp.0.weight"):
        import_file({"teacher": dino_head()})


def test_a_published_width_cut_short_is_refused_unless_the_depth_is_said(tmp_path: Path) -> None:
    tensors = {
        "patch_embed.proj.weight": torch.zeros(384, 3, 16, 16),
        "blocks.0.norm1.weight": torch.zeros(384),
        "pos_embed": torch.ones(1, 197, 384),
        "cls_token": torch.zeros(1, 1, 384),
    }
    torch.save(tensors, tmp_path / "cut.pth")
    with pytest.raises(PoiseError, match=r"cut.pth: 1 blocks, but a model 384 wide has 12"):
        import_backbone(str(tmp_path / "cut.pth"), Options())
    with pytest.raises(PoiseError, match="not complete: 13 of its 17 tensors"):
        import_backbone(str(tmp_path / "cut.pth"), Options(wishes=Wishes(depth=1)))


def test_an_unpublished_width_needs_its_heads(tmp_path: Path) -> None:
    torch.save(vit_tensors(), tmp_path / "odd.pth")
    with pytest.raises(PoiseError, match=r"odd.pth: no published model is 32 wide.*--heads"):
        import_backbone(str(tmp_path / "odd.pth"), Options())


def test_a_distilled_model_is_refused_by_its_token_and_not_by_its_grid(import_file: Import) -> None:
    tensors = {**vit_tensors(), "dist_token": torch.zeros(1, 1, 32)}
    with pytest.raises(PoiseError, match=r"dist_token: the file has a distillation token"):
        import_file(tensors)


def test_other_shapes_are_told(import_file: Import) -> None:
    tensors = vit_tensors()
    tensors["blocks.1.mlp.fc1.weight"] = torch.zeros(100, 32)
    with pytest.raises(PoiseError, match=r"blocks.1.mlp.fc1.weight is \[100, 32\], .* \[128, 32\]"):
        import_file(tensors)


def test_a_tensor_that_the_model_has_no_place_for_is_no_detail(import_file: Import) -> None:
    tensors = {**vit_tensors(), "blocks.0.gate.weight": torch.zeros(1)}
    with pytest.raises(PoiseError, match=r"does not have 1 tensor .* \(blocks.0.gate.weight\)"):
        import_file(tensors)


def test_values_that_are_not_finite_are_refused(import_file: Import) -> None:
    tensors = vit_tensors()
    tensors["norm.weight"] = torch.full((32,), float("nan"))
    with pytest.raises(PoiseError, match=r"norm.weight: holds NaN or infinite values"):
        import_file(tensors)


class Sly:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def test_a_file_that_would_run_code_is_refused_in_one_line(
    import_file: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PoiseError, match=r"refused: loading it would run posix.system") as caught:
        import_file({"model": vit_tensors(), "args": Sly()})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["junk.pth", "junk.safetensors"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"hello" * 100)
    with pytest.raises(
        PoiseError, match=f"{name}: (is no checkpoint|cannot be read as safetensors)"
    ):
        import_backbone(str(tmp_path / name), Options())


def test_an_entry_that_is_not_there_lists_those_that_are(import_file: Import) -> None:
    with pytest.raises(PoiseError, match=r"--checkpoint-key ema: .* has model, state"):
        import_file({"model": vit_tensors(), "state": vit_tensors()}, checkpoint_key="ema")


def test_what_is_neither_a_file_nor_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="no such file"):
        import_backbone(str(tmp_path / "gone.pth"), Options())
    with pytest.raises(PoiseError, match="timm has no such model"):
        import_backbone("vit_enormous", Options())
    with pytest.raises(PoiseError, match=r"vit_tiny_patch16_224.dino: timm publishes no such"):
        import_backbone("vit_tiny_patch16_224.dino", Options())


def test_without_a_network_a_name_is_one_line_and_never_random_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PoiseError, match=r"cannot be fetched .*--architecture vit_tiny") as caught:
        import_backbone("vit_tiny_patch16_224", Options())
    assert "\n" not in str(caught.value)
