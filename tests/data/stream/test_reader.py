"""What a worker reads from disk and keeps in memory."""

from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest

from poise.config import PoiseError, Recipe
from poise.config.recipe import DataConfig, OptimizerConfig
from poise.config.training import TrainingConfig
from poise.data import dataset as datasets
from poise.data.dataset import ImageDataset
from poise.data.stream import plan as plans
from poise.data.stream.reader import Reader
from tests.data.builders import write_dataset

IMAGES = [bytes([index]) * (index + 1) for index in range(70)]  # 18 row groups, 2 of them smaller


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, int]]:
    """Counts how often each row group is read from disk."""
    counts: Counter[tuple[str, int]] = Counter()
    load = ImageDataset._load

    def counting(self: ImageDataset, shard: object, group: int) -> object:
        counts[shard.file, group] += 1  # type: ignore[attr-defined]
        return load(self, shard, group)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDataset, "_load", counting)
    return counts


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    write_dataset(tmp_path / "bytes", IMAGES, rows_per_group=4, rows_per_shard=35)
    return Recipe(
        name="reader",
        data=DataConfig(dataset=str(tmp_path / "bytes")),
        training=TrainingConfig(epochs=3, batch_size=8),
        optimizer=OptimizerConfig(warmup_epochs=0),
    )


def test_a_dataset_that_fits_into_memory_is_read_once_in_a_run(
    recipe: Recipe, loads: Counter[tuple[str, int]]
) -> None:
    reader = Reader(recipe, 1, 2)
    for step in range(reader.plan.total_steps):
        reader.read(step)
    assert len(loads) == 18 and set(loads.values()) == {1}


@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_workers_read_a_larger_dataset_once_in_an_epoch(
    recipe: Recipe,
    loads: Counter[tuple[str, int]],
    num_workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plans, "MAX_WINDOW_SAMPLES", 16)
    readers = [Reader(recipe, rank, num_workers) for rank in range(num_workers)]
    assert readers[0].plan.num_lanes == 4
    for epoch in range(3):
        loads.clear()
        seen: list[int] = []
        for step in range(epoch * 8, (epoch + 1) * 8):
            for reader in readers:
                _, encoded = reader.read(step)
                seen += encoded.sample_ids.tolist()
                for image, sample in zip(encoded.images, encoded.sample_ids, strict=True):
                    assert image == IMAGES[sample]
        assert len(set(seen)) == len(seen) == 64
        assert sum(loads.values()) <= 18 + num_workers - 1


def test_a_row_group_that_is_dropped_is_read_again(
    tmp_path: Path, loads: Counter[tuple[str, int]]
) -> None:
    write_dataset(tmp_path, IMAGES[:20], rows_per_group=5, rows_per_shard=20)
    dataset = ImageDataset.open(tmp_path)
    dataset.read(np.arange(20))
    dataset.keep_only(np.array([1, 3]))
    dataset.read(np.arange(20))
    assert [loads["shard-00000.parquet", group] for group in range(4)] == [2, 1, 2, 1]


def test_more_shards_than_a_process_may_open_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_OPEN_FILES", 3)
    write_dataset(tmp_path, IMAGES, rows_per_group=4, rows_per_shard=5)
    dataset = ImageDataset.open(tmp_path, cache_bytes=0)
    before = len(psutil.Process().open_files())
    for _ in range(2):
        assert list(dataset.read(np.arange(70)).images) == IMAGES
    assert len(psutil.Process().open_files()) <= before + 3


def test_workers_that_cannot_have_equal_shares_are_refused_before_anything_is_read(
    recipe: Recipe,
) -> None:
    with pytest.raises(PoiseError, match=r"batch_size=8 is no multiple of 3 workers"):
        Reader(recipe, 0, 3)
