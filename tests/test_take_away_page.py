"""Every command and snippet of `docs/take-away.md` runs as it is written.

`mlflow models serve` runs in `tests/tracking/registry/test_flavor_served.py`.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poise.cli.main import run as poise
from poise.tracking.registry.registration import register_model
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from tests.packages import save_package

PAGE = Path(__file__).resolve().parents[1] / "docs" / "take-away.md"


@pytest.mark.slow
def test_every_command_and_snippet_of_the_page_runs(
    poise_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    store = open_store()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    run = create_run(store, "photos", "dino-tiny", tmp_path / "run")
    register_model(store, save_package(tmp_path / "package"), "photos-vit", run.run_id, {})
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    for name in ("photo.jpg", "photos/cats/one.jpg", "photos/dogs/two.jpg", "photos/loose.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(name)
    names: dict[str, Any] = {}
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), re.M | re.S):
        if language == "python":
            exec(block, names)
            continue
        for line in block.splitlines():
            words = shlex.split(line, comments=True) if line.startswith("poise") else []
            assert not words or poise(words[1:]) == 0, line
    assert np.shape(names["embeddings"]) == (1, 24)
    assert np.shape(names["dense"]) == (1, 4, 4, 24)
    assert names["facts"]["model"] == "models:/photos-vit/1"
    assert pq.read_table("photos-labels.parquet")["label"].to_pylist() == [0, 1, None]
    assert Path("photos-vit-onnx/model.onnx").is_file()
