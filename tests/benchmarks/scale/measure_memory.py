"""Memory of what grows with images and trials, measured with tracemalloc.

Run as ``python tests/benchmarks/scale/measure_memory.py``. What ``docs/scale.md`` calls measured
comes from here. Both grow linearly: what is measured on fewer images and trials is multiplied.
"""

import sys
import tracemalloc
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # run as a script, not as a module

from poise.config.metrics import METRICS
from poise.data.dataset import ImageDataset, group_sizes
from poise.data.manifest import Manifest, Shard
from poise.data.preparation.ingest import SAMPLES_PER_SHARD
from poise.data.preparation.shards import ROWS_PER_GROUP
from poise.data.stream.plan import Plan, window_samples
from poise.diagnostics.judge import Verdict, VerdictKind
from poise.studies.records import TrialRecord
from poise.studies.trials import Trial

MEASURED_IMAGES = 10_000_000
IMAGES = (1_000_000, 100_000_000, 1_000_000_000)
MEASURED_TRIALS = 200
TRIALS = 10_000
RESULTS = 10


def bytes_of(make: Callable[[], Any]) -> tuple[Any, int, int]:
    """Makes an object. Returns it, the bytes that it keeps and the most that making it needs."""
    tracemalloc.start()
    made = make()
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return made, kept, most


def manifest_of(num_images: int) -> Manifest:
    """Makes a manifest as `poise data prepare` writes it."""
    shards = tuple(
        Shard(file=f"shard-{n:06d}.parquet", num_samples=SAMPLES_PER_SHARD, sha256=f"{n:064x}")
        for n in range(num_images // SAMPLES_PER_SHARD)
    )
    return Manifest(
        name="scale", source="scale", seed=0, num_samples=len(shards) * SAMPLES_PER_SHARD,
        num_quarantined=0, classes=(), channel_mean=(0.5,) * 3, channel_std=(0.25,) * 3,
        fingerprint="", rows_per_group=ROWS_PER_GROUP, shards=shards,
    )  # fmt: skip


def measure_images() -> None:
    """Prints the memory of the manifest, an opened dataset and the plan."""
    manifest, of_manifest, _ = bytes_of(lambda: manifest_of(MEASURED_IMAGES))
    _, of_dataset, _ = bytes_of(lambda: ImageDataset(Path(), manifest))

    def plan_in_use() -> Plan:
        plan = Plan(group_sizes(manifest), 1024, 100, 0, window_samples(110_000))
        plan.sample_ids(0)
        return plan

    _, of_plan, at_most = bytes_of(plan_in_use)
    for images in IMAGES:
        times = images / MEASURED_IMAGES / 2**20
        print(
            f"{images:,} images: manifest {of_manifest * times:.1f} MiB, opened dataset "
            f"{of_dataset * times:.1f} MiB, plan {of_plan * times:.1f} MiB, at most "
            f"{at_most * times:.1f} MiB at the start of an epoch"
        )


def measure_trials() -> None:
    """Prints the memory of the trials of a study in the process that drives it."""
    from ray.tune.experiment import Trial as TuneTrial

    metrics = {name: 0.1 * n for n, name in enumerate(sorted(METRICS))}
    verdict = Verdict(VerdictKind.HEALTHY, None, "x" * 150, "")

    def records() -> list[TrialRecord]:
        return [
            TrialRecord(
                Trial(f"trial-{n}", n, {"optimizer.base_lr": n * 1e-4}, n), "finished", f"{n:032x}",
                verdict, {name: value + n for name, value in metrics.items()},
            )
            for n in range(MEASURED_TRIALS)
        ]  # fmt: skip

    def tune_trials(names: Collection[str]) -> list[Any]:
        made = []
        for n in range(MEASURED_TRIALS):
            trial = TuneTrial("trial", config={"name": f"trial-{n}"}, stub=True)
            for step in range(RESULTS if names else 0):
                values = {name: metrics[name] + n + step for name in names}
                trial.update_last_result({**values, "training_iteration": step})
            made.append(trial)
        return made

    making: dict[str, Callable[[], Any]] = {
        "records of Poise": records,
        "trials of Tune without results": partial(tune_trials, ()),
        f"trials of Tune with {RESULTS} results of one metric": partial(
            tune_trials, ["loss/total"]
        ),
        f"trials of Tune with {RESULTS} results of {len(metrics)} metrics": partial(
            tune_trials, metrics
        ),
    }
    for what, make in making.items():
        _, kept, _ = bytes_of(make)
        each = kept / MEASURED_TRIALS
        print(f"{what}: {each / 1024:.1f} KiB each, {each * TRIALS / 2**20:.0f} MiB for {TRIALS:,}")


if __name__ == "__main__":
    measure_images()
    measure_trials()
