"""An MLflow store per test, without paying for its migrations each time."""

from pathlib import Path

import pytest

from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.package import save_backbone
from poise.tracking.run import Run, create_run
from poise.tracking.store import Store, open_store


@pytest.fixture
def store(poise_home: Path) -> Store:
    return open_store()


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    return create_run(store, "scenes", "dino-tiny", tmp_path / "run")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small backbone's package."""
    config = BackboneConfig(
        name="vit_tiny_patch16_224",
        options={"patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2},
    )
    description = {"backbone": config.model_dump(mode="json"), "image_px": 32}
    save_backbone(tmp_path / "package", build_backbone(config, 32), description)
    return tmp_path / "package"
