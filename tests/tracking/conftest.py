"""An MLflow store per test, without paying for its migrations each time."""

import shutil
from pathlib import Path

import pytest

from poise.tracking.runs import Run, create_run
from poise.tracking.store import Store, open_store


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    open_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "home").mkdir()
    shutil.copy(migrated_file, tmp_path / "home" / "mlflow.db")
    return open_store()


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    return create_run(store, "scenes", "dino-tiny", tmp_path / "run")
