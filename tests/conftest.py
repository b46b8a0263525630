"""Fixtures for every test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Recorded outputs of the published implementations."""
    folder = Path(os.environ.get("GOLDEN_DIR", REPOSITORY.parent / "shared" / "golden"))
    if not folder.is_dir():
        pytest.skip(f"no recorded reference outputs at {folder}; set GOLDEN_DIR")
    return folder


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real images beside the repository."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}")
    return folder


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray cluster for the whole session."""
    import ray

    from poise.data.ray_runtime import start_ray

    os.environ.pop("RAY_ADDRESS", None)
    start_ray()
    yield
    ray.shutdown()
