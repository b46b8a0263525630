"""A registered version runs in an environment made from its own requirements, without Poise."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pytest

from poise.tracking.registry.version_lookup import find_model
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from tests.tracking.registry.test_flavor import encoded, expected, photo, registered

pytestmark = pytest.mark.heavy

NEEDED_GB = 15  # PyTorch with the libraries of CUDA, and the files from which pip installs it
TOLERANCE = 1e-5

PROGRAM = """
import importlib.util, sys
from pathlib import Path
import mlflow, numpy as np
from PIL import Image

assert importlib.util.find_spec("poise") is None, "Poise is on the path"
model, path = mlflow.pyfunc.load_model(sys.argv[1]), Path(sys.argv[2])
given = [np.asarray(Image.open(path)), path.read_bytes(), path]
np.savez(
    sys.argv[3],
    embedding=model.predict(given),
    dense=model.predict(given, params={"features": "dense"}),
    example=model.predict(model.input_example),
)
"""


class Away(NamedTuple):
    """A registered version, and a fresh environment that has its requirements."""

    python: Path
    store_uri: str
    uri: str
    package: Path
    folder: Path
    """Folder for files, in which no program finds Poise."""

    def runs(self, *words: str) -> None:
        """Runs the fresh Python, which sees neither this process's variables nor its folders."""
        environment = {
            "PATH": os.defpath, "HOME": str(self.folder), "MLFLOW_TRACKING_URI": self.store_uri
        }  # fmt: skip
        ended = subprocess.run(
            [self.python, "-I", *words], cwd=self.folder, env=environment, capture_output=True,
            text=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr

    def check(self, model: str) -> None:
        """Compares the features of the model in the fresh environment with those of Poise."""
        image = encoded(photo(90, 61))
        (self.folder / "photo.png").write_bytes(image)
        self.runs("-c", PROGRAM, model, "photo.png", "found.npz")
        found = np.load(self.folder / "found.npz")
        for kind in ("embedding", "dense"):
            wanted = expected(self.package, image, dense=kind == "dense")
            assert np.abs(found[kind] - wanted).max() <= TOLERANCE, f"{kind} features differ"
            assert len(found[kind]) == 3
        assert np.isfinite(found["example"]).all()


def pip(python: Path | str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
    return subprocess.run(command, capture_output=True, text=True)


def fresh_python(folder: Path, requirements: Path) -> Path:
    """Makes an environment from a version's requirements and nothing else."""
    if shutil.disk_usage(folder).free < NEEDED_GB * 1e9:
        pytest.skip(f"the environment needs {NEEDED_GB} GB in the folder for temporary files")
    subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)
    python = folder / "environment" / "bin" / "python"
    small = next(line for line in requirements.read_text().split() if "safetensors" in line)
    tried = pip(python, "--dry-run", "--no-deps", small)
    if tried.returncode != 0:
        pytest.skip(f"pip cannot install {small} here: {tried.stderr.strip().splitlines()[-1]}")
    installed = pip(python, "--no-compile", "-r", requirements)  # compiles what is imported
    assert installed.returncode == 0, installed.stderr
    return python


@pytest.fixture(scope="module")
def away(migrated_file: Path) -> Iterator[Away]:
    """A version with the alias `best`. Its environment of 6 GB is removed after the tests."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copy(migrated_file, folder)
        store = open_store(f"sqlite:///{folder / migrated_file.name}")
        run = create_run(store, "photos", "tiny", folder / "run")
        found = find_model(store, registered(store, run, folder / "package"))
        store.registry.set_registered_model_alias(found.name, "best", str(found.version))
        python = fresh_python(folder, Path(found.source) / "requirements.txt")
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        uri = f"models:/{found.name}@best"
        yield Away(python, store.uri, uri, folder / "package", elsewhere)


def test_a_version_loads_by_its_alias_where_only_its_own_requirements_are_installed(
    away: Away,
) -> None:
    away.check(away.uri)


def test_a_downloaded_version_loads_where_only_its_own_requirements_are_installed(
    away: Away,
) -> None:
    away.runs("-m", "mlflow", "artifacts", "download", "-u", away.uri, "-d", "downloaded")
    away.check("downloaded")
