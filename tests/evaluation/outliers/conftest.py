from pathlib import Path

import pytest
import torch

from poise.config.recipe import BackboneConfig
from poise.data.dataset import ImageDataset
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.evaluation.reading.inference import Bench
from poise.evaluation.report import EvaluationTask
from poise.models.backbone import VitBackbone, build_backbone

SIDE = 8
"""Patches on a side of the small models' images."""


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn images with labels and masks."""
    folder = tmp_path_factory.mktemp("data") / "scenes"
    prepare("scenes", folder, PrepareOptions(num_images=160, seed=0))
    return folder


def small_vit(num_registers: int = 0, **options: object) -> VitBackbone:
    """An untrained transformer of 64 patches of 4 px."""
    torch.manual_seed(0)
    config = BackboneConfig(
        name="vit_tiny_patch16_224",
        num_registers=num_registers,
        options={"patch_size": 4, "embed_dim": 48, "depth": 3, "num_heads": 2, **options},
    )
    backbone = build_backbone(config, image_px=4 * SIDE).eval()
    assert isinstance(backbone, VitBackbone)
    return backbone


def task_of(
    backbone: VitBackbone, dataset: Path, folder: Path, max_images: int | None = None
) -> EvaluationTask:
    """An evaluation on the CPU."""
    bench = Bench(([0.5] * 3, [0.25] * 3), torch.device("cpu"))
    opened = ImageDataset.open(dataset)
    return EvaluationTask(backbone, opened, bench, 4 * SIDE, folder, max_images)
