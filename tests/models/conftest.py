"""Small backbones, and files that hold them under the names of others."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from poise.models.published.loading import Imported
from poise.models.published.shapes import Wishes
from poise.models.published.sources import Options, import_backbone

Tensors = dict[str, Tensor]
Import = Callable[..., Imported]

WIDTH, DEPTH, HEADS = 32, 2, 2
SIZE = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "num_classes": 0}


def randomized(name: str, **options: object) -> torch.nn.Module:
    """A small timm model none of whose tensors is at a value that others begin at."""
    torch.manual_seed(0)
    model: torch.nn.Module = timm.create_model(name, **{**SIZE, **options}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def import_file(tmp_path: Path) -> Import:
    """Saves what a published file would hold, and imports it."""

    def write_and_import(content: object, **options: object) -> Imported:
        path = tmp_path / "published.pth"
        torch.save(content, path)
        options = {"wishes": Wishes(num_heads=HEADS), **options}
        imported, _ = import_backbone(str(path), Options(**options))  # type: ignore[arg-type]
        return imported

    return write_and_import
