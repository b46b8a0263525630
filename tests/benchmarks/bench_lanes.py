"""Bytes read per byte used, and the cost of a plan of 100 M images.

Run as ``python tests/benchmarks/bench_lanes.py``. The dataset has row groups as
`poise data prepare` writes them, but no files: a read is counted, not carried out. The order of
earlier versions is transcribed below: its workers divide each batch of a window that all of them
read.
"""

import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.data.counter_random import uniforms
from poise.data.dataset import CACHE_BYTES, ImageDataset, group_sizes
from poise.data.manifest import MANIFEST_FILE, Manifest, Shard
from poise.data.preparation.ingest import SAMPLES_PER_SHARD
from poise.data.preparation.shards import ROWS_PER_GROUP
from poise.data.stream.plan import Plan, window_samples

MEAN_BYTES = 110_000
BATCH_SIZE = 1024
WORLDS = (1, 8, 64)
EPOCH_STARTS = 5

Next = Callable[[ImageDataset, int], NDArray[np.int64]]
"""Prepares a worker's dataset for a step, and returns the samples to read."""


def manifest_of(num_samples: int) -> Manifest:
    """Makes a manifest as `poise data prepare` does. Every tenth shard lacks a damaged image."""
    counts = [
        min(SAMPLES_PER_SHARD, num_samples - start) - (number % 10 == 9)
        for number, start in enumerate(range(0, num_samples, SAMPLES_PER_SHARD))
    ]
    shards = [
        Shard(file=f"shard-{number:05d}.parquet", num_samples=count, sha256=f"{number:064x}")
        for number, count in enumerate(counts)
    ]
    return Manifest(
        name="bench",
        source="bench",
        seed=0,
        num_samples=sum(counts),
        num_quarantined=num_samples - sum(counts),
        classes=(),
        channel_mean=(0.5, 0.5, 0.5),
        channel_std=(0.2, 0.2, 0.2),
        fingerprint="",
        rows_per_group=ROWS_PER_GROUP,
        shards=tuple(shards),
    )


class CountingDataset(ImageDataset):
    """Dataset whose images are empty. It counts the samples that are read and held."""

    def __init__(self, manifest: Manifest) -> None:
        row_bytes = _table(1).nbytes
        super().__init__(Path(), manifest, CACHE_BYTES // MEAN_BYTES * row_bytes)
        self._row_bytes, self.num_read, self.most_held = row_bytes, 0, 0

    def touch(self, sample_ids: NDArray[np.int64]) -> None:
        """Reads the row groups of these samples that are not in memory."""
        for group in np.unique(np.searchsorted(self._ends, sample_ids, side="right")):
            self._group(int(group))
        self.most_held = max(self.most_held, self._cached_bytes // self._row_bytes)

    def _load(self, shard: Shard, group: int) -> pa.Table:
        rows = min(ROWS_PER_GROUP, shard.num_samples - group * ROWS_PER_GROUP)
        self.num_read += rows
        return _table(rows)


@lru_cache
def _table(rows: int) -> pa.Table:
    """Makes a row group. Its size in memory is proportional to its rows."""
    return pa.table({"label": np.zeros(rows, dtype=np.int64)})


def before(sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yields the batches of the first epoch in the order of earlier versions."""
    starts = np.cumsum(sizes) - sizes
    order = np.argsort(uniforms(0, 0, np.arange(len(sizes)), -1, 1)[:, 0], kind="stable")
    width = window_samples(MEAN_BYTES) // int(sizes.max())
    windows = []
    for first in range(0, len(order), width):
        groups = order[first : first + width]
        samples = np.concatenate([np.arange(sizes[g]) + starts[g] for g in groups])
        windows.append(samples[np.argsort(uniforms(0, 0, samples, -2, 1)[:, 0])])
    ids = np.concatenate(windows)
    yield from ids[: len(ids) // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE)


def measure(name: str, manifest: Manifest, next_ids: Callable[[int, int], Next]) -> None:
    """Reads the first epoch with every number of workers, and prints what was read and held."""
    steps = manifest.num_samples // BATCH_SIZE
    for world in WORLDS:
        workers = [(CountingDataset(manifest), next_ids(rank, world)) for rank in range(world)]
        for dataset, ids_of in workers:
            for step in range(steps):
                dataset.touch(ids_of(dataset, step))
        read = sum(dataset.num_read for dataset, _ in workers) / (steps * BATCH_SIZE)
        held = max(dataset.most_held for dataset, _ in workers) * MEAN_BYTES / 2**20
        print(
            f"{name:7s} {world:3d} workers: {read:6.3f} read per used, at most {held:6.0f} MiB held"
        )


def measure_reading() -> None:
    """Compares the orders on 1 M images."""
    manifest = manifest_of(1_000_000)
    batches = list(before(group_sizes(manifest)))

    def old(rank: int, world: int) -> Next:
        share = BATCH_SIZE // world
        return lambda dataset, step: batches[step][rank * share : (rank + 1) * share]

    def new(rank: int, world: int) -> Next:
        plan = plan_of(manifest, BATCH_SIZE)

        def ids(dataset: ImageDataset, step: int) -> NDArray[np.int64]:
            share = plan.share(step, rank, world)
            dataset.keep_only(share.groups)
            return share.sample_ids

        return ids

    print(
        f"1 M images of 110 kB, batches of {BATCH_SIZE}, {plan_of(manifest, 1024).num_lanes} lanes"
    )
    measure("before", manifest, old)
    measure("lanes", manifest, new)


def plan_of(manifest: Manifest, batch_size: int) -> Plan:
    """Makes the plan of a run of 100 epochs."""
    return Plan(group_sizes(manifest), batch_size, 100, 0, window_samples(MEAN_BYTES))


def measure_size(num_samples: int, batch_size: int) -> None:
    """Prints CPU time and memory of a manifest and its plan."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MANIFEST_FILE
        path.write_text(manifest_of(num_samples).model_dump_json(indent=2), encoding="utf-8")
        timed = _CpuTime()
        manifest = Manifest.read(folder)
        print(f"{num_samples:,} images: manifest {timed.lap():.2f} CPU s", end=", ")
        plan = plan_of(manifest, batch_size)
        print(f"plan {timed.lap():.2f} CPU s", end=", ")
        for world in (1, 64):
            starts = []
            for epoch in range(EPOCH_STARTS):
                plan.share(epoch * plan.steps_per_epoch + 1, 0, world)
                starts.append(timed.lap())
            print(f"epoch start on {world} workers {statistics.median(starts):.2f} CPU s", end=", ")
        tracemalloc.start()
        again = Manifest.read(folder)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        plan_of(again, batch_size).share(0, 0, 1)
        peak = tracemalloc.get_traced_memory()[1] - held
        tracemalloc.stop()
        print(f"manifest {held / 2**20:.0f} MiB, plan {peak / 2**20:.0f} MiB at most")


class _CpuTime:
    def __init__(self) -> None:
        self._then = time.process_time()

    def lap(self) -> float:
        """CPU seconds since the last call."""
        then, self._then = self._then, time.process_time()
        return self._then - then


if __name__ == "__main__":
    measure_reading()
    measure_size(1_000_000, 1024)
    measure_size(100_000_000, 4096)
