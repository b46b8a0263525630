"""A dataset of red objects on green, and a transformer whose keys and first head see red."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from poise.config.recipe import BackboneConfig
from poise.data.dataset import ImageDataset
from poise.data.manifest import MANIFEST_FILE, Manifest, Shard
from poise.models.backbone import VitBackbone, build_backbone

PATCH_PX = 8
MEAN_AND_STD = ([0.5] * 3, [0.25] * 3)
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class RedObject:
    """An image with red boxes on green. The mask marks them; a file without boxes has none."""

    size: tuple[int, int]  # width and height
    boxes: Sequence[Box]
    difficult: Sequence[bool] = ()
    ignored: Box | None = None

    def image(self) -> bytes:
        pixels = np.zeros((self.size[1], self.size[0], 3), dtype=np.uint8)
        pixels[..., 1] = 255
        for x0, y0, x1, y1 in self.boxes:
            pixels[y0:y1, x0:x1] = (255, 0, 0)
        return _png(pixels)

    def mask(self) -> bytes:
        values = np.zeros((self.size[1], self.size[0]), dtype=np.uint8)
        for number, (x0, y0, x1, y1) in enumerate(self.boxes, start=1):
            values[y0:y1, x0:x1] = number
        if self.ignored:
            x0, y0, x1, y1 = self.ignored
            values[y0:y1, x0:x1] = 255
        return _png(values)


def write_objects(folder: Path, objects: Sequence[RedObject]) -> Path:
    """Writes a prepared dataset with masks and boxes."""
    folder.mkdir()
    count = len(objects)
    columns: dict[str, Any] = {
        "image": [each.image() for each in objects],
        "label": pa.array([-1] * count, pa.int64()),
        "mask": [each.mask() for each in objects],
        "boxes": pa.array([list(map(list, o.boxes)) for o in objects], _LISTS),
        "box_labels": pa.array([[0] * len(o.boxes) for o in objects], pa.list_(pa.int32())),
        "box_difficult": pa.array(
            [list(o.difficult) or [False] * len(o.boxes) for o in objects], pa.list_(pa.bool_())
        ),
    }
    pq.write_table(pa.table(columns), folder / "shard-00000.parquet", row_group_size=4)
    manifest = Manifest(
        name=folder.name, source="test", seed=0, num_samples=count, num_quarantined=0, classes=(),
        channel_mean=(0.5, 0.5, 0.5), channel_std=(0.25, 0.25, 0.25), fingerprint="0",
        rows_per_group=4, annotations=("mask", "boxes"),
        shards=(Shard(file="shard-00000.parquet", num_samples=count, sha256=""),),
    )  # fmt: skip
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return folder


MakeObjects = Callable[..., ImageDataset]


@pytest.fixture
def make_objects(tmp_path: Path) -> MakeObjects:
    def make(*objects: RedObject) -> ImageDataset:
        return ImageDataset.open(write_objects(tmp_path / "red", objects))

    return make


def seeing_red(num_registers: int = 0) -> VitBackbone:
    """A transformer of one block. Its keys are the colours of patches; head 1 looks for red.

    Keys of red and green patches point against each other, and head 2 looks at all patches alike.
    """
    config = BackboneConfig(
        name="vit_tiny_patch16_224", drop_path=0, num_registers=num_registers,
        options={"patch_size": PATCH_PX, "embed_dim": 8, "depth": 1, "num_heads": 2},
    )  # fmt: skip
    backbone = build_backbone(config, image_px=32).eval()
    assert isinstance(backbone, VitBackbone)
    model: Any = backbone.timm_model
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        model.patch_embed.proj.weight[0, 0] = 1.0  # token 0: red
        model.patch_embed.proj.weight[1, 1] = 1.0  # token 1: green
        model.blocks[0].norm1.weight.fill_(1.0)
        model.blocks[0].attn.qkv.weight[8:16] = torch.eye(8)  # keys
        model.blocks[0].attn.qkv.bias[0] = 50.0  # the first head asks for red
    return backbone


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


_LISTS = pa.list_(pa.list_(pa.int32()))
