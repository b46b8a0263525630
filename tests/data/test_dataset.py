import errno
import pickle
from pathlib import Path

import numpy as np
import pytest

from poise.config import PoiseError
from poise.config.locations import Location
from poise.data import dataset as datasets
from poise.data.dataset import ImageDataset, group_sizes
from poise.data.parquet_file import parquet_file
from tests.data.builders import write_dataset

IMAGES = [bytes([index]) * (index + 1) for index in range(23)]


def test_any_order_of_ids_brings_the_bytes_and_labels_in_that_order(tmp_path: Path) -> None:
    write_dataset(tmp_path, IMAGES)
    dataset = ImageDataset.open(tmp_path)
    ids = np.random.default_rng(0).permutation(23)
    ids = np.append(ids, ids[:3])
    batch = dataset.read(ids)
    assert list(batch.images) == [IMAGES[index] for index in ids]
    np.testing.assert_array_equal(batch.labels, ids % 3)
    np.testing.assert_array_equal(batch.sample_ids, ids)
    assert len(batch) == 26 and len(dataset) == 23


def test_row_groups_end_with_their_shard(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path, IMAGES, rows_per_group=4, rows_per_shard=10)
    assert group_sizes(manifest).tolist() == [4, 4, 2, 4, 4, 2, 3]


def test_the_cache_holds_what_it_may_and_each_group_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path, [bytes(1000)] * 20, rows_per_group=5, rows_per_shard=20)
    loads: list[int] = []
    load = ImageDataset._load

    def counting(self: ImageDataset, shard: object, group: int) -> object:
        loads.append(group)
        return load(self, shard, group)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDataset, "_load", counting)
    ample = ImageDataset.open(tmp_path)
    for _ in range(2):
        ample.read(np.arange(20))
    assert sorted(loads) == [0, 1, 2, 3]

    loads.clear()
    room_for_two = ImageDataset.open(tmp_path, cache_bytes=11_000)
    for sample in (0, 5, 0, 10, 0, 5):  # group 0 stays in use, so group 1 leaves
        room_for_two.read(np.array([sample]))
    assert loads == [0, 1, 2, 1]


def test_a_shard_is_opened_again_after_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After a network drive was mounted again, an open file stayed stale for ever.
    write_dataset(tmp_path, IMAGES)
    opened: list[object] = []

    class Stale:
        def read_row_group(self, *_: object, **__: object) -> object:
            raise OSError(errno.ESTALE, "Stale file handle")

    def opens(place: Location) -> object:
        opened.append(place)
        return Stale() if len(opened) == 1 else parquet_file(place)

    monkeypatch.setattr(datasets, "parquet_file", opens)
    images = ImageDataset.open(tmp_path, patience_s=0.01)
    images = pickle.loads(pickle.dumps(images))  # as another process gets it
    assert images.read(np.array([0])).images[0] == IMAGES[0]
    assert len(opened) == 2


def test_an_id_outside_the_dataset_is_an_error(tmp_path: Path) -> None:
    write_dataset(tmp_path, IMAGES)
    for wrong in (-1, 23):
        with pytest.raises(IndexError, match="0 to 22"):
            ImageDataset.open(tmp_path).read(np.array([wrong]))


def test_a_missing_or_damaged_shard_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, IMAGES)
    shard = tmp_path / "shard-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(PoiseError, match=r"shard-00001\.parquet.*poise data prepare"):
        ImageDataset.open(tmp_path).read(np.array([12]))
    shard.unlink()
    with pytest.raises(PoiseError, match=r"shard-00001\.parquet.*missing"):
        ImageDataset.open(tmp_path)
