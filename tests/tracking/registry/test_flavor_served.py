"""A registered version answers over HTTP, in a server that MLflow starts."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from poise.evaluation.reading.images import resize_and_crop
from poise.evaluation.reading.inference import normalized
from poise.models.package import save_backbone
from poise.tracking.registry.registration import register_model
from poise.tracking.run import Run
from poise.tracking.store import Store
from tests.backbone_kinds import NORMALIZATION, made
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def server(store: Store, run: Run, tmp_path: Path) -> Iterator[str]:
    """Address of `mlflow models serve` with the version that the alias names."""
    backbone, config = made("vit")
    save_backbone(tmp_path / "package", backbone, config)
    register_model(store, tmp_path / "package", "photos-vit", run.run_id, {})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["models", "serve", "-m", "models:/photos-vit@candidate", "--env-manager", "local"]
    log = tmp_path / "server.log"
    programs = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow runs uvicorn
    )
    with log.open("w") as file:
        serving = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "PATH": programs, "MLFLOW_TRACKING_URI": store.uri},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert serving.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/ping") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        wait_until(answers, pause_s=0.5)
        yield address
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(serving.pid, signal.SIGTERM)
        serving.wait()


def ask(address: str, **content: Any) -> Any:
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps(content).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["predictions"]


def test_mlflow_serves_a_version_and_answers_with_the_features_of_poise(server: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    image, file = Image.fromarray(noise), io.BytesIO()
    image.save(file, "PNG")
    uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

    backbone, config = made("vit")
    px = config["evaluation_px"]
    pixels = torch.from_numpy(np.array(resize_and_crop(image, px))).permute(2, 0, 1)
    statistics = NORMALIZATION["mean"], NORMALIZATION["std"]
    with torch.no_grad():
        wanted = backbone(normalized(pixels[None], statistics)).numpy()

    assert np.allclose(ask(server, inputs=[uri]), wanted, atol=1e-5)
    assert np.allclose(ask(server, inputs=[noise.tolist()]), wanted, atol=1e-5)
    dense = ask(server, inputs=[uri], params={"features": "dense"})
    assert np.shape(dense) == (1, 6, 6, 32)

    for given in ("/etc/hostname", "data:image/png;base64,AAAA"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(server, inputs=[given])
        assert refused.value.code == 400
        assert "image 0: " in refused.value.read().decode()
