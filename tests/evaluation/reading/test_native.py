import io
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from poise.config import PoiseError
from poise.data.dataset import ImageDataset
from poise.data.manifest import MANIFEST_FILE, Manifest, Shard
from poise.evaluation.reading.native import NativeImages, NativeSize

ROTATED = 6  # EXIF: the image is stored a quarter turn to the left


def dataset_of(folder: Path, images: list[bytes]) -> ImageDataset:
    folder.mkdir()
    table = pa.table({"image": images, "label": pa.array([-1] * len(images), pa.int64())})
    pq.write_table(table, folder / "shard.parquet", row_group_size=8)
    manifest = Manifest(
        name="native", source="test", seed=0, num_samples=len(images), num_quarantined=0,
        classes=(), channel_mean=(0.5,) * 3, channel_std=(0.25,) * 3, fingerprint="",
        rows_per_group=8,
        shards=(Shard(file="shard.parquet", num_samples=len(images), sha256=""),),
    )  # fmt: skip
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return ImageDataset.open(folder, cache_bytes=0)


def picture(size: tuple[int, int], turned: bool = False) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    if turned:
        exif[0x0112] = ROTATED
    Image.new("RGB", size, (10, 20, 30)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def test_neighbours_of_one_size_share_a_batch_and_the_order_stays(tmp_path: Path) -> None:
    sizes = [(40, 30)] * 3 + [(30, 40)] + [(40, 30)] * 2
    images = [picture(size) for size in sizes]
    images.append(picture((30, 40), turned=True))  # upright: 40 × 30
    read = list(NativeImages(dataset_of(tmp_path / "a", images), NativeSize(8)).batches(4))
    assert [tuple(batch.shape) for batch, _ in read] == [
        (3, 3, 30, 40), (1, 3, 40, 30), (3, 3, 30, 40),
    ]  # fmt: skip
    assert np.concatenate([known for _, known in read]).tolist() == [
        *map(list, sizes), [40, 30],
    ]  # fmt: skip


def test_large_images_come_in_smaller_batches(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "a", [picture((320, 160))] * 8)
    read = NativeImages(dataset, NativeSize(8)).batches(8)  # 800 patches, ten times 256² pairs
    assert [len(batch) for batch, _ in read] == [1] * 8


def test_a_choice_and_its_parts_are_deterministic(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "a", [picture((16, 16 + each)) for each in range(20)])
    images = NativeImages(dataset, NativeSize(8, max_patches=6), limit=9)
    again = images.opener().only(images.sample_ids)
    assert len(images) == len(again) == 9 and again.native_size == images.native_size
    for (first, sizes), (second, _) in zip(images.batches(4), again.batches(4), strict=True):
        assert first.equal(second)
        assert (sizes[:, 0] == 16).all()


@given(
    size=st.tuples(st.integers(8, 3000), st.integers(8, 3000)),
    patch_px=st.sampled_from([4, 14, 16]),
    max_patches=st.integers(1, 7000),
    shorter_px=st.none() | st.integers(8, 600),
)
def test_no_image_has_more_patches_than_allowed(
    size: tuple[int, int], patch_px: int, max_patches: int, shorter_px: int | None
) -> None:
    native = NativeSize(patch_px, max_patches, shorter_px)
    width, height = native.of(size)
    rows, columns = native.grid((width, height))
    assert 1 <= rows * columns <= max_patches
    assert (rows - 1) * patch_px < height <= rows * patch_px
    if not native.is_shrunk(size):
        assert (width, height) == size if shorter_px is None else min(width, height) == shorter_px


def test_a_damaged_image_is_one_line_that_names_it(tmp_path: Path) -> None:
    damaged = picture((40, 30))[:60]
    for data in (damaged, b""):
        folder = tmp_path / f"a{len(data)}"
        images = NativeImages(dataset_of(folder, [picture((8, 8)), data]), NativeSize(8))
        with pytest.raises(PoiseError, match="sample 1 cannot be decoded"):
            list(images.batches(2))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        dataset = dataset_of(tmp_path / str(count), [picture((64, 64))] * count)
        tracemalloc.start()
        for _ in NativeImages(dataset, NativeSize(8)).batches(8):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)
    assert peak(1000) < 1.5 * peak(200)
