"""The stream's steady rate against a torch DataLoader that makes the same cuts.

Run as ``python tests/benchmarks/bench_stream.py``. Both read one Parquet dataset of photographs
and cut the published ten views in as many processes; the DataLoader reads the dataset in its own
workers and knows nothing of Ray. Starting is left out: what is timed is the batches after the
first ones.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.cluster.connection import start_ray
from poise.config import Recipe
from poise.config.recipe import DataConfig
from poise.config.training import TrainingConfig
from poise.data.batch import ViewBatch
from poise.data.stream.reader import Reader
from poise.data.stream.stream import view_stream
from poise.data.views.cutter import ViewCutter
from tests.benchmarks.bench_views import photographs
from tests.data.builders import write_dataset

PROCESSES = 2
BATCH_SIZE = 32
WARM_STEPS, TIMED_STEPS = 16, 60
ROUNDS = 5


class SameCuts(Dataset[ViewBatch]):
    """The views of a step, read and cut by a DataLoader's worker."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._cutter = ViewCutter(recipe.data.views, recipe.seed)
        self._reader: Reader | None = None

    def __getitem__(self, step: int) -> ViewBatch:
        self._reader = self._reader or Reader(self._recipe, 0, 1)
        epoch, encoded = self._reader.read(step)
        return self._cutter(encoded, epoch)


def _as_it_is(batch: ViewBatch) -> ViewBatch:
    return batch


def plain_loader(recipe: Recipe) -> Iterator[ViewBatch]:
    """What one would write without Poise."""
    loader: DataLoader[ViewBatch] = DataLoader(
        SameCuts(recipe),
        sampler=range(WARM_STEPS + TIMED_STEPS),
        batch_size=None,
        num_workers=PROCESSES,
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        multiprocessing_context="forkserver",  # the same kind of process as the stream's
    )
    return iter(loader)


def images_per_s(batches: Iterator[ViewBatch]) -> float:
    """Rate over the batches after the first ones."""
    for _ in islice(batches, WARM_STEPS):
        pass
    start = time.perf_counter()
    images = sum(len(batch) for batch in islice(batches, TIMED_STEPS))
    return images / (time.perf_counter() - start)


def main() -> None:
    """Measures and prints."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), photographs() * 8, rows_per_group=64, rows_per_shard=512)
        recipe = Recipe(
            name="bench-stream",
            data=DataConfig(dataset=folder, cut_processes=PROCESSES),
            training=TrainingConfig(batch_size=BATCH_SIZE, epochs=100),
        )
        start_ray()
        rates: dict[str, list[float]] = {"DataLoader": [], "Ray Data": [], "local": []}
        for _ in range(ROUNDS):  # in turns, so that a busy machine is unkind to all alike
            rates["DataLoader"].append(images_per_s(plain_loader(recipe)))
            for name, source in (("Ray Data", "ray"), ("local", "local")):
                stream = view_stream(recipe, 0, 1, source=source)  # type: ignore[arg-type]
                rates[name].append(images_per_s(stream))
                stream.close()
    for name, measured in rates.items():
        print(f"{name:12s} {statistics.median(measured):7.1f} images/s  {PROCESSES} processes")
    for name, source in (("through Ray Data", "Ray Data"), ("without Ray", "local")):
        pairs = zip(rates[source], rates["DataLoader"], strict=True)
        ratios = sorted(stream / loader for stream, loader in pairs)
        print(
            f"stream {name} against the DataLoader: {statistics.median(ratios):.2f}x "
            f"(rounds {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
