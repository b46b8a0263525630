"""What the whole set of diagnostics costs, as a share of training time.

Run as ``OMP_NUM_THREADS=1 python tests/benchmarks/bench_diagnostics.py``. ``train_steps`` twice, as
a run uses it, from the same weights on the same batch: never at a boundary (the floor: training
alone), and always. In turns, so that a busy machine is fair to both; what a boundary adds, over the
steps from one to the next in the recipe, is the share. At most 3 % is the aim.

The demo's recipe, and a ViT-S/16 with K = 65,536 on few and small views. ``gpu/bench_gpu.py``
measures ViT-S/16 on a GPU, on 64 images, 2 × 224 and 8 × 96 px.
"""

import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.config import Recipe, load_recipe
from poise.training.precision import computes_bf16
from tests.benchmarks.bench_dino_step import ON_GPU, in_turns, our_steps

DEMO = Path(__file__).resolve().parents[2] / "pipelines" / "recipes" / "dino_scenes_demo.yaml"
ON_CPU = replace(ON_GPU, global_px=96, local_px=48, batch_size=16, local_count=4)
AIM = 0.03
FLOOR, OBSERVED = "a step, training alone (the floor)", "a step with all diagnostics"


def times_of(recipe: Recipe, device: torch.device, rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of every step, without and with diagnostics, in turns."""
    sides: dict[str, Iterator[object]] = {
        FLOOR: our_steps(recipe, device),
        OBSERVED: our_steps(recipe, device, observed=True),
    }
    return in_turns(sides, rounds=rounds, warm_rounds=2, device=device)


def shares(times: dict[str, list[float]], interval: int) -> list[float]:
    """Returns the quartiles of the diagnostics' share of the time from one log to the next."""
    per_step = statistics.median(times[FLOOR]) * interval
    added = [b - a for a, b in zip(times[FLOOR], times[OBSERVED], strict=True)]
    return [value / per_step for value in statistics.quantiles(added, n=4)]


def measure(name: str, recipe: Recipe, device: torch.device, rounds: int) -> None:
    """Prints the seconds of both kinds of step, and the share at the recipe's interval."""
    times = times_of(recipe, device, rounds)
    interval = recipe.training.log_every_steps
    print(f"{name}, {recipe.training.batch_size} images, {recipe.training.precision}")
    for side, taken in times.items():
        print(f"  {side:36s} {statistics.median(taken) * 1e3:9.1f} ms")
    low, share, high = shares(times, interval)
    print(
        f"  diagnostics every {interval} steps: {share:.2%} of training time "
        f"(quartiles {low:.2%} to {high:.2%}, {rounds} rounds); the aim is at most {AIM:.0%}"
    )


def main() -> None:
    """Measures and prints."""
    device = torch.device("cpu")
    torch.set_num_threads(1)
    print("one CPU thread")
    precision = "bf16" if computes_bf16(device) else "fp32"
    demo = load_recipe(DEMO, [f"training.precision={precision}"])
    measure("the demo, K = 1024", demo, device, rounds=25)
    measure(f"ViT-S/16, {ON_CPU}", ON_CPU.recipe(precision), device, rounds=7)


if __name__ == "__main__":
    main()
