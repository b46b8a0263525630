"""A prepared dataset of videos in which a square moves over noise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from poise.data.annotations import COLUMNS
from poise.data.manifest import MANIFEST_FILE, Manifest, Shard
from tests.data.builders import encode

MakeVideos = Callable[..., Path]


@pytest.fixture
def make_videos(tmp_path: Path) -> MakeVideos:
    """Writes videos; each has as many frames as its entry in ``lengths`` says."""

    def make(lengths: dict[str, int], px: int = 32, empty: str = "", growing: str = "") -> Path:
        folder = tmp_path / "videos"
        folder.mkdir()
        rows: dict[str, list[object]] = {"image": [], "label": [], "path": []}
        rows |= {name: [] for kind in ("mask", "sequence") for name in COLUMNS[kind]}
        for number, (name, length) in enumerate(lengths.items()):
            for frame in range(length):
                grown = frame if name == growing else 0
                image, mask = draw_frame(number, frame, px + grown)
                rows["image"].append(encode(image))
                rows["mask"].append(encode(np.zeros_like(mask) if name == empty else mask))
                rows["label"].append(-1)
                rows["path"].append(f"{name}/{frame}")
                rows["sequence"].append(name)
                rows["frame"].append(frame)
        _write(folder, rows)
        return folder

    return make


def draw_frame(number: int, frame: int, px: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A red square that moves to the right and a green one that stays, on blue noise."""
    draws = np.random.default_rng((number, frame))
    image = np.zeros((px, px, 3), dtype=np.uint8)
    image[..., 2] = draws.integers(100, 160, (px, px))
    mask = np.zeros((px, px), dtype=np.uint8)
    left = 4 + 2 * frame
    for value, (rows, columns) in {
        1: (slice(4, 14), slice(left, left + 10)),
        2: (slice(20, 30), slice(4, 14)),
    }.items():
        mask[rows, columns] = value
        image[rows, columns] = 0
        image[rows, columns, value - 1] = 220
    return image, mask


def _write(folder: Path, rows: dict[str, list[object]]) -> None:
    schema = {"image": pa.binary(), "label": pa.int64(), "path": pa.string()}
    schema |= {
        name: kind for group in ("mask", "sequence") for name, kind in COLUMNS[group].items()
    }
    table = pa.table(rows, schema=pa.schema(schema))
    pq.write_table(table, folder / "shard-00000.parquet", row_group_size=8)
    manifest = Manifest(
        name="videos",
        source="test",
        seed=0,
        num_samples=len(table),
        num_quarantined=0,
        classes=(),
        channel_mean=(0.5, 0.5, 0.5),
        channel_std=(0.25, 0.25, 0.25),
        fingerprint="videos",
        annotations=("mask", "sequence"),
        mask_values=(1, 2),
        rows_per_group=8,
        shards=(Shard(file="shard-00000.parquet", num_samples=len(table), sha256=""),),
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
