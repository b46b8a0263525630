import json
import subprocess
import sys
from pathlib import Path

import pytest

from poise.cli import doctor_checks as checkup
from poise.cli.main import run as poise
from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.package import save_backbone
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.version import RegisteredFigure
from poise.tracking.run import create_run, set_tags
from poise.tracking.store import open_store

pytestmark = pytest.mark.slow


@pytest.fixture
def home(poise_home: Path) -> Path:
    return poise_home


@pytest.fixture
def registered(home: Path) -> str:
    size = {"patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2}
    config = BackboneConfig(name="vit_tiny_patch16_224", options=size)
    description = {"backbone": config.model_dump(mode="json"), "image_px": 32}
    save_backbone(home / "package", build_backbone(config, 32), description)
    store = open_store()
    run = create_run(store, "scenes", "dino-tiny", home / "run")
    result = {"metric": "eval/knn_top1", "verdict": "healthy"}
    figures = {"eval/knn_top1": RegisteredFigure(33.25, "%", 30.0, 36.5, "knn/dino-v1")}
    return register_model(store, home / "package", "scenes-vit", run.run_id, result, figures)


def test_an_empty_registry_says_what_fills_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poise(["models", "list"]) == 0
    assert "nothing is registered yet" in capsys.readouterr().out
    assert poise(["models", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_version_is_listed_and_shown_in_words_and_as_json(
    registered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    poise(["models", "list"])
    (_, row) = capsys.readouterr().out.splitlines()
    assert row.split()[:5] == ["scenes-vit/1", "@candidate", "knn_top1", "33.2", "%"]

    poise(["models", "show", "scenes-vit@candidate"])
    shown = capsys.readouterr().out
    assert shown.startswith(f"{registered}  @candidate\n")
    assert "eval/knn_top1  33.2 %  30.0 to 36.5   knn/dino-v1" in shown

    poise(["models", "show", registered, "--json"])
    described = json.loads(capsys.readouterr().out)
    assert described["tags"]["verdict"] == "healthy"
    assert set(described["files"]) == {"backbone.safetensors", "config.json"}


def test_an_unknown_model_is_one_line_and_status_2(
    registered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poise(["models", "show", "scenes-mae"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: scenes-mae: no model is called 'scenes-mae'; there are scenes-vit"


def test_what_is_neither_a_model_nor_a_folder_says_how_to_list_models(
    registered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poise(["evaluate", "knn", "photos", "dataset"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: photos: no model is called 'photos'; there are scenes-vit; "
        "nor is it a folder; see `poise models list`"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["models", "show", "scenes-vit"],
        ["evaluate", "knn", "scenes-vit", "nowhere"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_every_look_at_the_runs_closes_those_whose_process_is_gone(
    command: list[str], registered: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "_CHECKS", (checkup.check_store,))
    monkeypatch.setattr(checkup, "_LIBRARIES", ())
    store = open_store()
    run = create_run(store, "scenes", "lost", home / "lost")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    set_tags(run, {"poise.pid": ended.pid})
    poise(command)
    assert store.client.get_run(run.run_id).info.status == "KILLED"


def test_listing_and_showing_models_loads_neither_pytorch_nor_ray(
    registered: str, home: Path
) -> None:
    code = f"""
import sys
from poise.cli.main import run
assert run(["models", "list"]) == run(["models", "show", {registered!r}]) == 0
print("LOADED", [name for name in ("torch", "torchvision", "timm", "ray") if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "LOADED []", ended.stderr
