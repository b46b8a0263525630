import json
from pathlib import Path

import pytest
import timm
import torch
import yaml
from PIL import Image

from poise.cli.main import run as poise
from poise.models.package import load_backbone
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.version import RegisteredFigure
from poise.tracking.run import create_run, log_files
from poise.tracking.store import open_store
from tests.packages import save_package

pytestmark = pytest.mark.slow


@pytest.fixture
def registered(poise_home: Path, tmp_path: Path) -> str:
    package = save_package(tmp_path / "package")
    store = open_store()
    run = create_run(store, "photos", "dino-tiny", tmp_path / "run")
    Image.new("RGB", (8, 8)).save(tmp_path / "curves.png")
    log_files(run, [tmp_path / "curves.png"], "pictures")
    figure = RegisteredFigure(33.25, "%", 30.1, 36.4, "knn/dino-v1", "photos-test")
    tags = {"metric": "eval/knn_top1", "verdict": "healthy"}
    figures = {"eval/knn_top1": figure}
    return register_model(store, package, "photos-vit", run.run_id, tags, figures)


def test_a_version_is_pulled_with_card_and_pictures_and_timm_loads_it(
    registered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "taken ü"
    assert poise(["models", "pull", registered, str(out)]) == 0
    assert "timm's features differ from Poise's by at most" in capsys.readouterr().out
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert names == {
        "README.md",
        "config.json",
        "model.safetensors",
        "pictures/pictures-curves.png",
    }
    backbone, _ = load_backbone(tmp_path / "package")
    images = torch.randn(2, 3, 16, 16)
    model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    with torch.no_grad():
        assert torch.allclose(model(images), backbone(images), atol=1e-5)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: timm\n")
    assert "license: unknown" in card
    assert "`poise models pull --licence TEXT` writes a licence into this card." in card
    figure = "| eval/knn_top1 | 33.2 % | 30.1 to 36.4 | knn/dino-v1 | photos-test |"
    assert figure in card
    assert "- The model was evaluated only on photos-test." in card
    assert "- verdict: healthy" in card
    assert "- recipe: unknown" in card, "nothing is invented"
    assert "![pictures-curves.png](pictures/pictures-curves.png)" in card


def test_the_snippet_of_the_card_runs(registered: str, tmp_path: Path) -> None:
    out = tmp_path / "taken"
    poise(["models", "pull", registered, str(out)])
    card = (out / "README.md").read_text(encoding="utf-8")
    snippet = card.split("```python\n")[1].split("```")[0]
    Image.new("RGB", (40, 30), (9, 99, 199)).save(tmp_path / "photo.jpg")
    snippet = snippet.replace("FOLDER", str(out)).replace("photo.jpg", str(tmp_path / "photo.jpg"))
    names: dict[str, object] = {}
    exec(snippet, names)
    features = names["features"]
    assert isinstance(features, torch.Tensor)
    assert features.shape == (1, 24)


def test_a_packages_folder_is_pulled_too_and_its_card_knows_little(
    poise_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = save_package(tmp_path / "package", lineage={"dataset_name": "photos"})
    assert poise(["models", "pull", str(package), str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["difference"] < 1e-5
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "# package\n" in card
    assert "No figure is recorded." in card
    assert "- dataset: photos" in card
    assert str(tmp_path) not in card, "a folder of this machine says nothing elsewhere"


def test_a_card_holds_the_licence_that_the_user_names(
    poise_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package, named = save_package(tmp_path / "package"), tmp_path / "named"
    words = ["models", "pull", str(package)]
    assert poise([*words, str(named), "--licence", "CC BY 4.0: see [here]"]) == 0
    card = (named / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "CC BY 4.0: see [here]"
    assert "The licence is CC BY 4.0: see &#91;here]." in card
    assert "unknown" not in card.partition("## Licence")[2]

    capsys.readouterr()
    for text in (" ", "one\ntwo"):
        assert poise([*words, str(tmp_path / "wrong"), "--licence", text]) == 2
        assert "write the licence in one line" in capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()


def test_nothing_is_overwritten_and_nothing_half_is_left(
    poise_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = save_package(tmp_path / "package")
    (tmp_path / "mine").mkdir()
    assert poise(["models", "pull", str(package), str(tmp_path / "mine")]) == 2
    assert "mine: already exists; name another destination" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert poise(["models", "pull", str(package), str(tmp_path / "file" / "out")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    bare = json.loads((package / "config.json").read_text())
    assert poise(["models", "pull", "nowhere", str(tmp_path / "out")]) == 2
    assert not list(tmp_path.glob(".*partial*"))
    assert not (tmp_path / "out").exists()
    assert bare["image_px"] == 16


def test_a_folder_that_another_process_made_meanwhile_is_named_and_kept(
    registered: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The error was that of a full disk: "Directory not empty; free some space".
    replace, out = Path.replace, tmp_path / "taken"

    def too_late(path: Path, target: Path) -> Path:
        if target == out:
            out.mkdir()
            (out / "theirs").touch()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", too_late)
    assert poise(["models", "pull", registered, str(out)]) == 2
    assert "another process has made it meanwhile; name another" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["theirs"]


def test_nothing_is_fetched_for_a_folder_that_exists(
    registered: str, poise_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poise(["models", "pull", registered, str(tmp_path)]) == 2
    assert "already exists; name another destination" in capsys.readouterr().err
    assert not (poise_home / "models").exists()
