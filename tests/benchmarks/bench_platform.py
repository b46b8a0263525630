"""A run on the whole platform (Ray Train, Ray Data, MLflow) against bare loops.

Run as ``python tests/benchmarks/bench_platform.py``. One recipe, the same steps of it, three ways:
``train_steps`` over views that lie cut in memory (the floor), ``train_steps`` over views that are
cut meanwhile without Ray, and ``pretrain``. Cutting is work, not overhead, so the platform's
overhead is its loss against the second; on few cores the first shows what cutting itself takes.

The platform's rate is what MLflow says of it: images between two logged steps over the time
between their timestamps. So logging and diagnostics count.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from poise.cluster.connection import start_ray
from poise.config import Recipe, load_recipe
from poise.data.batch import ViewBatch
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.data.stream.stream import view_stream
from poise.runs.pretraining import pretrain
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from poise.training.loop import new_state, train_steps
from poise.training.schedule import Timetable, steps_per_epoch

RECIPE = Path(__file__).resolve().parents[2] / "pipelines" / "recipes" / "dino_scenes_demo.yaml"
IMAGES = 1024
WARM_STEPS, STEPS = 32, 96
LOG_EVERY_STEPS = 16  # twice as often as the demo
ROUNDS = 2
NAMES = ("bare loop, views in memory (the floor)", "bare loop, views cut meanwhile", "platform")


def recipe_in(folder: Path) -> Recipe:
    """The demo's run, cut by one process beside the one that trains, without its probe."""
    prepare("scenes", folder / "scenes", PrepareOptions(num_images=IMAGES), parallel=False)
    changes = {
        "data.dataset": folder / "scenes",
        "data.cut_processes": 1,
        "training.device": "cpu",
        "training.log_every_steps": LOG_EVERY_STEPS,
        "training.stop_after_steps": STEPS,
        "evaluation.every_epochs": "null",
    }
    return load_recipe(RECIPE, [f"{key}={value}" for key, value in changes.items()])


def bare_images_per_s(recipe: Recipe, batches: Iterable[ViewBatch]) -> float:
    """Of the loop by itself, after its first steps."""
    device = torch.device("cpu")
    timetable = Timetable(recipe, steps_per_epoch(recipe))
    reports = train_steps(timetable, new_state(recipe, device), batches)
    start_s = 0.0
    for report in islice(reports, STEPS):
        if report.step == WARM_STEPS:
            start_s = time.perf_counter()
    return images(recipe) / (time.perf_counter() - start_s)


def cutting_images_per_s(recipe: Recipe, batches: Iterable[ViewBatch]) -> float:
    """Of the loop with its views cut meanwhile."""
    rate = bare_images_per_s(recipe, batches)
    batches.close()  # type: ignore[attr-defined]
    return rate


def platform_images_per_s(recipe: Recipe, name: str) -> float:
    """Of a tracked run, by the timestamps of its metrics."""
    store = open_store()
    run = create_run(store, "bench-platform", name, Path(os.environ["POISE_HOME"]) / name)
    pretrain(recipe, run, name)
    logged = store.client.get_metric_history(run.run_id, "loss/total")
    at_ms: dict[int, int] = {metric.step: metric.timestamp for metric in logged}
    return images(recipe) / ((at_ms[STEPS] - at_ms[WARM_STEPS]) / 1e3)


def images(recipe: Recipe) -> int:
    """Trained on while the clock runs."""
    return (STEPS - WARM_STEPS) * recipe.training.batch_size


def main() -> None:
    """Measures and prints."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["POISE_HOME"] = str(Path(scratch) / "runs")
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        recipe = recipe_in(Path(scratch))
        in_memory = list(islice(view_stream(recipe, 0, 1, source="local"), STEPS))
        start_ray()
        rates: dict[str, list[float]] = {name: [] for name in NAMES}
        for number in range(ROUNDS):  # in turns, so that a busy machine is unkind to all alike
            stream = view_stream(recipe, 0, 1, source="local")
            ways: tuple[Callable[[], float], ...] = (
                partial(bare_images_per_s, recipe, in_memory),
                partial(cutting_images_per_s, recipe, stream),
                partial(platform_images_per_s, recipe, f"round-{number}"),
            )
            for name, way in zip(NAMES, ways, strict=True):
                rates[name].append(way())
                print(f"round {number + 1}  {name:40s} {rates[name][-1]:7.1f} images/s", flush=True)
    a, b, c = (max(measured) for measured in rates.values())
    print(f"the platform against the loop that cuts the same way (c/b, best rounds): {c / b:.3f}")
    print(f"the platform against the floor (c/a): {c / a:.3f}; cutting takes {1 - b / a:.1%} of it")


if __name__ == "__main__":
    main()
