import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poise.cli.main import run as poise
from poise.data.preparation.ingest import prepare
from tests.packages import save_package

pytestmark = pytest.mark.slow


def save_photos(folder: Path, count: int) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        pixels = generator.integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
    return folder


@pytest.fixture
def package(poise_home: Path, tmp_path: Path) -> Path:
    return save_package(tmp_path / "package")


def test_a_folder_is_embedded_once(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = save_photos(tmp_path / "photos", 5), tmp_path / "photos.parquet"
    (photos / "0002.png").write_bytes(b"broken")
    words = ["embed", str(package), str(photos), str(out)]
    assert poise([*words, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["rows"], described["skipped"]) == (4, 1)
    facts = json.loads(pq.read_schema(out).metadata[b"poise"])
    assert (facts["protocol"], facts["features"]) == ("embed/center-crop-v1", "cls")
    assert facts["model"] == str(package)

    assert poise(words) == 0
    assert "is complete already: 4 rows" in capsys.readouterr().out
    assert poise([*words, "--features", "mean"]) == 2
    assert "holds something else (features: cls, and now mean)" in capsys.readouterr().err


def test_a_file_of_another_program_is_called_that(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = save_photos(tmp_path / "photos", 1), tmp_path / "photos.parquet"
    pq.write_table(pa.table({"a": [1]}), out)
    assert poise(["embed", str(package), str(photos), str(out)]) == 2
    assert capsys.readouterr().err == (
        f"error: {out}: exists, and was not written by `poise embed`; name another file\n"
    )


def test_mistakes_are_named_before_the_work(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = str(save_photos(tmp_path / "photos", 1))
    for words, message in (
        ([photos, "out.csv"], "name a file OUT.parquet"),
        ([photos, str(tmp_path / "o.parquet"), "--features", "clz"], "there is no 'clz'"),
        ([photos, str(tmp_path / "o.parquet"), "--features", "abmilp"], "a pooling that learns"),
        ([photos, str(tmp_path / "o.parquet"), "--label", "none"], "write --label folders"),
        ([str(tmp_path / "gone"), str(tmp_path / "o.parquet")], "is no folder of images"),
    ):
        assert poise(["embed", str(package), *words]) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("o.parquet*"))


def test_a_prepared_dataset_gives_labels_and_paths_and_the_same_embeddings(
    package: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("cats", "dogs"):
        save_photos(photos / name, 3)
    prepare(str(photos), tmp_path / "data", parallel=False)
    poise(["embed", str(package), str(tmp_path / "data"), str(tmp_path / "a.parquet")])
    poise(["embed", str(package), str(photos), str(tmp_path / "b.parquet"), "--label", "folders"])
    of_dataset, of_folder = (pq.read_table(tmp_path / f"{name}.parquet") for name in "ab")
    assert of_dataset["label"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert of_dataset.equals(of_folder)


def test_a_killed_command_continues(package: Path, tmp_path: Path) -> None:
    photos, out = save_photos(tmp_path / "photos", 600), tmp_path / "out.parquet"
    code = """
import sys
from poise.cli.main import run
from poise.evaluation.feature_table import embed
embed._SECONDS_PER_PART = 0.0
embed._IMAGES_PER_PART = 64
sys.exit(run(sys.argv[1:]))
"""
    words = ["embed", str(package), str(photos), str(out), "--no-ray"]
    killed = subprocess.Popen([sys.executable, "-c", code, *words], env=os.environ.copy())
    parts = tmp_path / "out.parquet.partial"
    while not list(parts.glob("part-*")) and killed.poll() is None:
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    if not out.exists():  # a fast machine may have finished
        assert list(parts.glob("part-*"))
    assert poise(words) == 0
    assert pq.read_table(out)["id"].to_pylist() == list(range(600))
    assert not parts.exists()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_ray_writes_the_same_rows_and_the_same_list(package: Path, tmp_path: Path) -> None:
    photos = save_photos(tmp_path / "photos", 150)
    (photos / "0140.png").write_bytes(b"broken")
    for name, option in (("here", "--no-ray"), ("ray", "--ray")):
        out = tmp_path / f"{name}.parquet"
        assert poise(["embed", str(package), str(photos), str(out), option]) == 0
    here, spread = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("here", "ray"))
    assert here["path"].equals(spread["path"])
    assert np.allclose(here["embedding"].to_pylist(), spread["embedding"].to_pylist(), atol=1e-5)
    lists = [(tmp_path / f"{name}.skipped.jsonl").read_text() for name in ("here", "ray")]
    assert lists[0] == lists[1]
