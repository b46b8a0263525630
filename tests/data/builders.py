"""Small prepared datasets, written without `poise data prepare`."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from poise.data.manifest import MANIFEST_FILE, Manifest, Shard


def encode(pixels: NDArray[np.uint8], file_format: str = "PNG") -> bytes:
    """An image file in memory."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format)
    return buffer.getvalue()


def smooth_image(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """A picture of blobs, another for every index."""
    coarse = np.random.default_rng(index).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_dataset(
    folder: Path,
    images: Sequence[bytes],
    rows_per_group: int = 4,
    rows_per_shard: int = 10,
    labels: Sequence[int] | None = None,
) -> Manifest:
    """Writes the images as a prepared dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = labels if labels is not None else [index % 3 for index in range(len(images))]
    shards = []
    for number, start in enumerate(range(0, len(images), rows_per_shard)):
        part = slice(start, start + rows_per_shard)
        table = pa.table(
            {
                "image": pa.array(images[part], pa.binary()),
                "label": pa.array(labels[part], pa.int64()),
                "path": [f"image-{index}" for index in range(len(images))][part],
            }
        )
        path = folder / f"shard-{number:05d}.parquet"
        pq.write_table(
            table, path, row_group_size=rows_per_group, compression="none", use_dictionary=False
        )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        shards.append(Shard(file=path.name, num_samples=len(table), sha256=digest))
    manifest = Manifest(
        name=folder.name,
        source="tests",
        seed=0,
        num_samples=len(images),
        num_quarantined=0,
        classes=("a", "b", "c"),
        channel_mean=(0.5, 0.4, 0.3),
        channel_std=(0.2, 0.25, 0.3),
        fingerprint=hashlib.sha256(b"".join(images)).hexdigest(),
        rows_per_group=rows_per_group,
        shards=tuple(shards),
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(), encoding="utf-8")
    return manifest


def write_blobs(folder: Path, count: int, width: int = 40, height: int = 32) -> Manifest:
    """A dataset of ``count`` blob pictures."""
    return write_dataset(
        folder, [encode(smooth_image(index, width, height)) for index in range(count)]
    )
