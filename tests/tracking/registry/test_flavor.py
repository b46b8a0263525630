"""A registered version is a model of MLflow, and it computes what Poise computes."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from mlflow.exceptions import MlflowException
from PIL import Image

from poise.data.views.decode import decode_rgb
from poise.evaluation.reading.images import resize_and_crop
from poise.evaluation.reading.inference import normalized
from poise.models.package import load_backbone, save_backbone
from poise.tracking.registry.fetch import load_model
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.run import Run
from poise.tracking.store import Store
from tests.backbone_kinds import BACKBONES, MORE_BACKBONES, made

KINDS = (*BACKBONES, *MORE_BACKBONES)


def registered(store: Store, run: Run, folder: Path, kind: str = "vit", **config: Any) -> str:
    backbone, described = made(kind)
    save_backbone(folder, backbone, {**described, **config})
    return register_model(store, folder, f"photos-{run.run_id}", run.run_id, {})


def loaded(store: Store, uri: str) -> Any:
    """The model as a user of MLflow loads it.

    ``mlflow.set_tracking_uri`` would stay set for all later tests of this process.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store.uri)
        return mlflow.pyfunc.load_model(uri)


def photo(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def expected(package: Path, image: bytes, dense: bool = False) -> np.ndarray[Any, Any]:
    """The features that Poise's evaluations use."""
    backbone, config = load_backbone(package)
    px = config.get("evaluation_px") or config["image_px"]
    pixels = torch.from_numpy(np.array(resize_and_crop(decode_rgb(image), px)))
    mean_and_std = config["normalization"]["mean"], config["normalization"]["std"]
    prepared = normalized(pixels.permute(2, 0, 1)[None], mean_and_std)
    with torch.no_grad():
        if not dense:
            return np.asarray(backbone(prepared))
        tokens: Any = backbone.tokens
        patches = tokens(prepared)[:, backbone.num_prefix_tokens :]
    side = px // backbone.patch_px
    return np.asarray(patches.unflatten(1, (side, side)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_mlflow_computes_the_features_of_poise(
    store: Store, run: Run, tmp_path: Path, kind: str
) -> None:
    uri = registered(store, run, tmp_path / "package", kind)
    model = loaded(store, uri)
    image = encoded(photo(90, 61))
    found = model.predict([image, image])
    assert found.dtype == np.float32
    wanted = expected(tmp_path / "package", image)
    assert np.abs(found - wanted).max() <= 1e-5 * max(1, np.abs(wanted).max())
    if kind != "resnet":
        dense = model.predict([image], params={"features": "dense"})
        assert np.allclose(dense, expected(tmp_path / "package", image, dense=True), atol=1e-5)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> tuple[Any, Path]:
    """A loaded model and its package, made once for many images."""
    import shutil

    from poise.tracking.run import create_run
    from poise.tracking.store import open_store

    folder = tmp_path_factory.mktemp("served")
    shutil.copy(migrated_file, folder)
    store = open_store(f"sqlite:///{folder / migrated_file.name}")
    run = create_run(store, "photos", "tiny", folder / "run")
    return loaded(store, registered(store, run, folder / "package")), folder / "package"


HOSTILE = {
    "greyscale": encoded(photo(70, 50, "L")),
    "black and white": encoded(photo(70, 50, "1")),
    "palette": encoded(photo(70, 50, "P")),
    "transparent": encoded(photo(70, 50, "RGBA")),
    "transparent grey": encoded(photo(70, 50, "LA")),
    "turned by EXIF": encoded(photo(70, 50), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00"
                              b"\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
                              b"\x00\x00\x00\x00"),
    "CMYK": encoded(photo(70, 50, "CMYK"), "JPEG"),
    "wide": encoded(photo(900, 9)),
    "high": encoded(photo(8, 700)),
    "as small as allowed": encoded(photo(8, 8)),
    "exactly the size": encoded(photo(48, 48)),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_unusual_images_are_read_as_poise_reads_them(served: tuple[Any, Path], name: str) -> None:
    model, package = served
    assert np.allclose(model.predict([HOSTILE[name]]), expected(package, HOSTILE[name]), atol=1e-4)


@pytest.mark.slow
def test_an_image_may_be_an_array_bytes_a_path_or_a_text_of_json(
    served: tuple[Any, Path], tmp_path: Path
) -> None:
    model, package = served
    image = photo(60, 60)
    data = encoded(image)
    path = tmp_path / "photo ü 照片.png"
    path.write_bytes(data)
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    given = [np.asarray(image), data, path, uri, np.asarray(image).tolist()]
    wanted = np.repeat(expected(package, data), 5, axis=0)
    assert np.allclose(model.predict(given), wanted, atol=1e-5)
    assert np.allclose(model.predict(pd.DataFrame({"image": given[:3]})), wanted[:3], atol=1e-5)
    assert model.predict([]).shape == (0, wanted.shape[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (encoded(photo(70, 50))[:-300], "truncated"),
        (b"", "cannot identify"),
        (b"GIF89a but not really", "cannot identify"),
        (encoded(photo(1, 1)), "1 × 1 pixels: too small"),
        (encoded(Image.fromarray(np.zeros((50, 50), np.uint16))), "more than 8 bits"),
        (np.zeros((3, 50, 50), np.uint8), r"uint8 array of shape \[3, 50, 50\]"),
        (np.zeros((50, 50, 3), np.float32), "float32 array"),
        ("/etc/hostname", "give a path as pathlib.Path"),
        ("data:image/png;base64,§", "data|ASCII"),
        (Path("nowhere.png"), "No such file"),
    ],
    ids=str,
)
def test_an_image_that_cannot_be_read_is_named_with_the_reason(
    served: tuple[Any, Path], image: Any, reason: str
) -> None:
    with pytest.raises(MlflowException, match=reason) as error:
        served[0].predict([encoded(photo(50, 50)), image])
    assert str(error.value).startswith("image 1: ")


@pytest.mark.slow
def test_an_unknown_kind_of_features_names_the_known_ones(served: tuple[Any, Path]) -> None:
    with pytest.raises(MlflowException, match="choose from embedding, dense"):
        served[0].predict([encoded(photo(50, 50))], params={"features": "tokens"})


@pytest.mark.slow
def test_a_version_holds_a_signature_an_example_and_no_pickle(
    store: Store, run: Run, tmp_path: Path
) -> None:
    uri = registered(store, run, tmp_path / "package")
    folder = Path(find_model(store, uri).source)
    described = yaml.safe_load((folder / "MLmodel").read_text())
    assert {"inputs", "outputs", "params"} <= set(described["signature"])
    flavor = described["flavors"]["python_function"]
    assert flavor["model_code_path"] == "model.py"
    assert "python_model" not in flavor, "this entry would be a pickle"
    endings = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert endings <= {".safetensors", ".json", ".yaml", ".txt", ".py", ""}
    assert "poise" not in (folder / "requirements.txt").read_text()
    example = json.loads((folder / "input_example.json").read_text())
    assert loaded(store, uri).predict(example).shape == (1, 32)


@pytest.mark.slow
def test_poise_reads_a_version_with_and_without_the_files_of_mlflow(
    store: Store, run: Run, tmp_path: Path
) -> None:
    uri = registered(store, run, tmp_path / "package")
    before, _ = load_model(uri, store)
    folder = Path(find_model(store, uri).source)
    for name in ("MLmodel", "model.py", "requirements.txt", "python_env.yaml"):
        (folder / name).unlink()
    after, _ = load_model(uri, store)
    weights = after.state_dict()
    assert weights
    assert all(torch.equal(each, weights[name]) for name, each in before.state_dict().items())


def test_a_package_without_normalization_is_registered_without_a_flavor(
    store: Store, run: Run, package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    uri = register_model(store, package, "photos-vit", run.run_id, {})
    assert not (Path(find_model(store, uri).source) / "MLmodel").exists()
    assert "mlflow.pyfunc cannot load this version: the model's config has no norm" in caplog.text


@pytest.mark.slow
def test_the_model_runs_where_poise_is_not_installed(
    store: Store, run: Run, tmp_path: Path
) -> None:
    uri = registered(store, run, tmp_path / "package")
    program = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "poise":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import mlflow
import numpy as np

model = mlflow.pyfunc.load_model({find_model(store, uri).source!r})
print(model.predict([np.zeros((40, 50, 3), np.uint8)]).shape)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout == "(1, 32)\n", ended.stderr
