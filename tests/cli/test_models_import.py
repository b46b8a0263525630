import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

from poise.cli.main import run as poise
from poise.tracking.registry import imports, registration
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package

__all__ = ["make_dataset"]  # a fixture

pytestmark = pytest.mark.slow


@pytest.fixture
def checkpoint(poise_home: Path, tmp_path: Path) -> Path:
    """A full checkpoint as DINO's training writes it, of a small model."""
    torch.manual_seed(0)
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, **size)
    teacher = {f"backbone.{name}": tensor for name, tensor in model.state_dict().items()}
    teacher["head.last_layer.weight_v"] = torch.zeros(4, 8)
    path = tmp_path / "dino small.pth"
    torch.save({"teacher": teacher, "student": {}, "epoch": 3}, path)
    return path


def test_an_import_accounts_for_its_keys_and_is_registered_once(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["models", "import", str(checkpoint), "--heads", "2"]
    assert poise(command) == 0
    printed = capsys.readouterr().out
    assert "layout      dino" in printed
    assert "prefix      backbone." in printed
    assert "mean        0.485 0.456 0.406  (as DINO was published)" in printed
    assert "images      32 × 32 px  (ASSUMED: as the layout's models are evaluated" in printed
    assert "heads       2  (given with --heads 2)" in printed
    assert "grid        4 × 4 patches  (ASSUMED: a square of 16 patches; give" in printed
    assert "keys        0 matched, 30 mapped, 1 dropped, 0 missing" in printed
    assert "dropped     projection head 1" in printed
    assert "not read    student, epoch" in printed
    assert "registered  models:/dino-small/1" in printed

    assert poise([*command, "--json"]) == 0
    account = json.loads(capsys.readouterr().out)
    assert (account["layout"], account["registered"]) == ("dino", "models:/dino-small/1")
    assert poise([*command, "--quiet"]) == 0
    assert capsys.readouterr().out == "models:/dino-small/1\n"

    poise(["models", "show", "dino-small", "--json"])
    tags = json.loads(capsys.readouterr().out)["tags"]
    assert tags["imported_from"] == "dino small.pth"
    assert tags["layout"] == "dino"
    assert len(tags["source_sha256"]) == 64
    poise(["models", "show", "dino-small"])
    assert "imported    dino small.pth  (dino layout)" in capsys.readouterr().out


def test_an_imported_backbone_is_evaluated_and_exported_exactly(
    checkpoint: Path,
    tmp_path: Path,
    make_dataset: MakeDataset,
    capsys: pytest.CaptureFixture[str],
) -> None:
    poise(["models", "import", str(checkpoint), "--heads", "2", "--name", "small"])
    dataset = make_dataset("test", [0, 1, 2] * 4)
    capsys.readouterr()
    assert poise(["evaluate", "knn", "small", str(dataset), "--bank", str(dataset)]) == 0
    assert "images of 32 px" in capsys.readouterr().out

    assert poise(["models", "export", "small", str(tmp_path / "out.safetensors"), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written == {"layout": "timm", "written": str(tmp_path / "out.safetensors")}
    teacher = torch.load(checkpoint, weights_only=True)["teacher"]
    for name, tensor in load_file(tmp_path / "out.safetensors").items():
        assert torch.equal(tensor, teacher[f"backbone.{name}"])
    folder = tmp_path / "folder"
    assert poise(["models", "export", "small", str(folder), "--format", "huggingface"]) == 0
    assert timm.create_model(f"local-dir:{folder}", pretrained=True).embed_dim == 32


def test_a_package_of_our_own_keeps_its_history(
    poise_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lineage = {
        "run_id": "0" * 32,
        "recipe": "mae-small",
        "dataset": "/elsewhere/shapes",
        "dataset_name": "shapes",
        "dataset_fingerprint": "ab12",
    }
    package = save_package(tmp_path / "package", lineage=lineage)
    assert poise(["models", "import", str(package), "--name", "kept"]) == 0
    capsys.readouterr()
    assert poise(["models", "show", "kept"]) == 0
    story = capsys.readouterr().out
    for told in ("trained by  " + "0" * 32, "mae-small", "shapes  (ab12)"):
        assert told in story
    assert "study" not in story


def test_a_refused_import_leaves_nothing_behind(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "none"))
    content = torch.load(checkpoint, weights_only=True)
    del content["teacher"]["backbone.norm.bias"]
    torch.save(content, checkpoint)
    assert poise(["models", "import", str(checkpoint), "--heads", "2"]) == 2
    refused = capsys.readouterr()
    assert refused.out == ""
    assert "1 of its 30 tensors are missing (norm.bias); 0 matched, 29 mapped" in refused.err
    assert not (tmp_path / "none").exists()


def test_two_imports_of_one_name_wait_for_each_other(
    poise_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second replaced the package, and the first registered its weights as its own.
    register = registration.register_model
    was_locked: list[bool] = []

    def registering(*arguments: Any) -> str:
        with (poise_home / "imports" / ".twice.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                was_locked.append(False)
            except BlockingIOError:
                was_locked.append(True)
        return register(*arguments)

    monkeypatch.setattr(imports, "register_model", registering)
    package = save_package(tmp_path / "package")
    assert poise(["models", "import", str(package), "--name", "twice"]) == 0
    assert was_locked == [True]
