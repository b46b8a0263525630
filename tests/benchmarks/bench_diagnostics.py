"""What the whole set of diagnostics costs, as a share of training time.

Run as ``OMP_NUM_THREADS=1 python tests/benchmarks/bench_diagnostics.py``. ``train_steps`` twice, as
a run uses it, from the same weights on the same batch: never at a boundary (the floor: training
alone), and always. In turns, so that a busy machine is fair to both; what a boundary adds, over the
steps from one to the next in the recipe, is the share. At most 3 % is the aim.

On a CPU: the demo's recipe, and a ViT-S/16 with K = 65,536 on few and small views. On a GPU: the
demo's, and ViT-S/16 on 64 images, 2 × 224 and 8 × 96 px.
"""

import itertools
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.config import Recipe, load_recipe
from poise.training.loop import train_steps
from poise.training.observer import FinishedStep
from poise.training.precision import computes_bf16
from tests.benchmarks.bench_dino_step import LONG, ON_GPU, Steady, in_turns, our_state
from tests.builders import random_batch

DEMO = Path(__file__).resolve().parents[2] / "pipelines" / "recipes" / "dino_scenes_demo.yaml"
ON_CPU = replace(ON_GPU, global_px=96, local_px=48, batch_size=16, local_count=4)
AIM = 0.03
FLOOR, OBSERVED = "a step, training alone (the floor)", "a step with all diagnostics"


def steps(recipe: Recipe, device: torch.device, observed: bool) -> Iterator[FinishedStep]:
    """Training on one batch for ever; each step is a boundary, or none is."""
    state = our_state(recipe, device)
    batches = itertools.repeat(random_batch(recipe).to(device))
    return train_steps(Steady(recipe, LONG.steps_per_epoch, observed), state, batches)


def measure(name: str, recipe: Recipe, device: torch.device, rounds: int) -> None:
    """Prints the seconds of both kinds of step, and the share at the recipe's interval."""
    sides: dict[str, Iterator[object]] = {
        FLOOR: steps(recipe, device, observed=False),
        OBSERVED: steps(recipe, device, observed=True),
    }
    times = in_turns(sides, rounds=rounds, warm_rounds=2, device=device)
    interval = recipe.training.log_every_steps
    print(f"{name}, {recipe.training.batch_size} images, {recipe.training.precision}")
    for side, taken in times.items():
        print(f"  {side:36s} {statistics.median(taken) * 1e3:9.1f} ms")
    per_step = statistics.median(times[FLOOR]) * interval
    added = [b - a for a, b in zip(times[FLOOR], times[OBSERVED], strict=True)]
    low, share, high = (value / per_step for value in statistics.quantiles(added, n=4))
    print(
        f"  diagnostics every {interval} steps: {share:.2%} of training time "
        f"(quartiles {low:.2%} to {high:.2%}, {rounds} rounds); the aim is at most {AIM:.0%}"
    )


def main() -> None:
    """Measures and prints."""
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    torch.set_num_threads(1)
    print(torch.cuda.get_device_name(device) if on_gpu else "one CPU thread")
    precision = "bf16" if on_gpu or computes_bf16(device) else "fp32"
    demo = load_recipe(DEMO, [f"training.precision={precision}"])
    measure("the demo, K = 1024", demo, device, rounds=25)
    size = ON_GPU if on_gpu else ON_CPU
    measure(f"ViT-S/16, {size}", size.recipe(precision), device, rounds=25 if on_gpu else 7)


if __name__ == "__main__":
    main()
