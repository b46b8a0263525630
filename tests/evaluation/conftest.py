import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poise.data.manifest import MANIFEST_FILE, Manifest, Shard

MakeDataset = Callable[..., Path]


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    """Writes a prepared dataset whose class is the image's colour."""

    def make(
        name: str,
        labels: Sequence[int],
        classes: Sequence[str] = ("red", "green", "blue"),
        seed: int = 0,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        noise = np.random.default_rng(seed)
        images = [_picture(label, noise) for label in labels]
        table = pa.table({"image": images, "label": pa.array(labels, pa.int64())})
        pq.write_table(table, folder / "shard-00000.parquet", row_group_size=8)
        manifest = Manifest(
            name=name,
            source="test",
            seed=seed,
            num_samples=len(labels),
            num_quarantined=0,
            classes=tuple(classes),
            channel_mean=(0.5, 0.5, 0.5),
            channel_std=(0.25, 0.25, 0.25),
            fingerprint=f"{seed}",
            rows_per_group=8,
            shards=(Shard(file="shard-00000.parquet", num_samples=len(labels), sha256=""),),
        )
        (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
        return folder

    return make


def _picture(label: int, noise: np.random.Generator) -> bytes:
    pixels = noise.integers(0, 120, (20, 26, 3), dtype=np.uint8)
    pixels[..., label % 3] += 120
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
