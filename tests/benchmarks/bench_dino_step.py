"""A DINO training step against a plain transcription of the published one.

Run as ``python tests/benchmarks/bench_dino_step.py``. Ours is ``train_steps``, as a run uses it;
both see the same views from the same weights, and must report the same losses before they are
timed. On a GPU: ViT-S/16, 2 × 224 and 8 × 96 px, K = 65,536, both in bf16. On a CPU: a small
ViT on one thread, both in fp32, and ours in bf16 where it is computed in hardware.

The published step's colours are made by its data loader. So views here have none to change, and
ours only normalises, which the published one is given done.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.config import Recipe
from poise.config.objectives import DinoConfig
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from poise.data.views.photometry import Photometry
from poise.objectives import build_objective
from poise.objectives.base import RunPosition
from poise.training.loop import TrainingState, train_steps
from poise.training.observer import FinishedStep
from poise.training.optimizer import build_optimizer, schedules
from poise.training.precision import computes_bf16
from poise.training.schedule import Timetable
from tests.benchmarks.published_dino_step import Head, MultiCrop, PublishedStep, VisionTransformer
from tests.builders import random_batch

CHECKED_STEPS = 3
PEAK_BF16_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense, vendor's data sheets


@dataclass(frozen=True)
class Size:
    """What is trained on."""

    global_px: int
    local_px: int
    patch_px: int
    dim: int
    depth: int
    num_heads: int
    batch_size: int
    num_prototypes: int = 65_536
    local_count: int = 8

    def recipe(self, precision: str) -> Recipe:
        """DINO's published settings at this size, prototypes learning from the first step."""
        return Recipe.model_validate(
            {
                "name": "bench-dino-step",
                "data": {
                    "dataset": "none",
                    "views": {
                        "global_px": self.global_px,
                        "local_px": self.local_px,
                        "local_count": self.local_count,
                    },
                },
                "backbone": {
                    "name": "vit_small_patch16_224",
                    "drop_path": 0,
                    "options": {
                        "patch_size": self.patch_px,
                        "embed_dim": self.dim,
                        "depth": self.depth,
                        "num_heads": self.num_heads,
                    },
                },
                "objective": {
                    "num_prototypes": self.num_prototypes,
                    "freeze_last_layer_epochs": 0,
                },
                "training": {"batch_size": self.batch_size, "precision": precision},
            }
        )

    def matmul_flops(self) -> float:
        """Of one step's matrix products, at 2 a multiply-add.

        A block does 24·D² + 4·T·D a token; the head D·2048 + 2048² + 2048·256 + 256·K
        multiply-adds a view. A backward pass costs twice its forward pass; the teacher has none.
        """

        def backbone(px: int) -> float:
            patches = (px // self.patch_px) ** 2
            block = (1 + patches) * (24 * self.dim**2 + 4 * (1 + patches) * self.dim)
            return self.depth * block + patches * 2 * 3 * self.patch_px**2 * self.dim

        head = 2 * (self.dim * 2048 + 2048**2 + 2048 * 256 + 256 * self.num_prototypes)
        globals_ = 2 * (backbone(self.global_px) + head)
        locals_ = self.local_count * (backbone(self.local_px) + head)
        return self.batch_size * (3 * (globals_ + locals_) + globals_)


ON_CPU = Size(96, 48, 16, dim=192, depth=6, num_heads=3, batch_size=16)
ON_GPU = Size(224, 96, 16, dim=384, depth=12, num_heads=6, batch_size=64)

LONG = RunPosition(step=0, steps_per_epoch=1000, total_steps=100_000)


def position_at(step: int) -> RunPosition:
    """In the middle of training: every step learns alike."""
    return RunPosition(LONG.total_steps // 2 + step, LONG.steps_per_epoch, LONG.total_steps)


@dataclass(frozen=True)
class Steady(Timetable):
    """A run that stays in its middle; metrics are read after every step or after none."""

    observed: bool = False

    def position(self, step: int) -> RunPosition:
        return position_at(step)

    def is_boundary(self, step: int) -> bool:
        return self.observed


def our_steps(
    size: Size, precision: str, device: torch.device, check: bool = False
) -> Iterator[FinishedStep]:
    """Training as a run does it, on one batch for ever."""
    recipe = size.recipe(precision)
    state = our_state(recipe, device)
    batch = random_batch(recipe).to(device)
    batches = itertools.repeat(batch)
    return train_steps(Steady(recipe, LONG.steps_per_epoch, check), state, batches)


def our_state(recipe: Recipe, device: torch.device) -> TrainingState:
    """The same weights at every call."""
    torch.manual_seed(0)
    photometry = Photometry(recipe.data.views, IMAGENET_MEAN, IMAGENET_STD)
    objective = build_objective(recipe, photometry).to(device)
    return TrainingState(objective, build_optimizer(recipe.optimizer, objective.trainable))


def published_steps(size: Size, precision: str, device: torch.device) -> Iterator[Tensor]:
    """The losses of the published step, from our weights, on our views, by our schedules."""
    recipe = size.recipe(precision)
    objective = our_state(recipe, device).objective
    photometry = Photometry(recipe.data.views, IMAGENET_MEAN, IMAGENET_STD)
    batch = random_batch(recipe).to(device)
    crops = [
        *photometry(batch.global_views, batch.global_photometry),
        *photometry(batch.local_views, batch.local_photometry),
    ]
    state = {
        name.replace("timm_model.", ""): value
        for name, value in objective.trainable.state_dict().items()
    }

    def copy() -> MultiCrop:
        backbone = VisionTransformer(
            size.global_px, size.patch_px, size.dim, size.depth, size.num_heads
        )
        assert isinstance(recipe.objective, DinoConfig)
        head = recipe.objective.head
        module = MultiCrop(
            backbone, Head(size.dim, head.hidden_dim, head.bottleneck_dim, size.num_prototypes)
        )
        module.load_state_dict(state)
        return module.to(device)

    autocast_to = torch.bfloat16 if precision == "bf16" else None
    step = PublishedStep(copy(), copy(), len(crops), size.num_prototypes, autocast_to)
    for number in itertools.count():
        position = position_at(number)
        curves = schedules(recipe, position) | objective.schedules(position)
        yield step(
            crops,
            curves["schedule/lr"],
            curves["schedule/weight_decay"],
            curves["schedule/teacher_momentum"],
            curves["schedule/teacher_temp"],
        )


def check_same(size: Size, precision: str, device: torch.device) -> None:
    """Ends the script unless both sides report the same losses over a few steps."""
    both = zip(
        our_steps(size, precision, device, check=True),
        published_steps(size, precision, device),
        strict=False,
    )
    tolerance = 1e-4 if precision == "fp32" else 1e-2
    for report, published in itertools.islice(both, CHECKED_STEPS):
        ours, theirs = report.metrics["loss/total"], published.item()
        if abs(ours - theirs) > tolerance * theirs:
            raise SystemExit(f"step {report.step}: loss {ours} here, {theirs} as published")
    print(f"losses agree over {CHECKED_STEPS} steps in {precision}, the last at {theirs:.4f}")


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Of one call: CPU time on a CPU, which other programs do not lengthen much; else the clock."""
    if device.type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def in_turns(
    sides: dict[str, Iterator[object]], rounds: int, warm_rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of every step of every side; in turns, so that a busy machine is fair."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(warm_rounds + rounds):
        for name, steps in sides.items():
            taken = seconds(lambda steps=steps: next(steps), device)  # type: ignore[misc]
            if number >= warm_rounds:
                times[name].append(taken)
    return times


def describe_ratio(name: str, baseline: list[float], ours: list[float]) -> str:
    """The median ratio of neighbouring steps and its quartiles."""
    ratios = [a / b for a, b in zip(baseline, ours, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    return f"{name}: {median:.2f}x (quartiles {low:.2f} to {high:.2f}, {len(ratios)} steps)"


def on_cpu() -> None:
    torch.set_num_threads(1)
    device, size = torch.device("cpu"), ON_CPU
    print(f"one CPU thread, {size}")
    check_same(size, "fp32", device)
    sides: dict[str, Iterator[object]] = {
        "the floor: its matrix products alone": floor_steps(size.matmul_flops(), side=1024),
        "published step, fp32": published_steps(size, "fp32", device),
        "our step, fp32": our_steps(size, "fp32", device),
    }
    if computes_bf16(device):
        sides["our step, bf16"] = our_steps(size, "bf16", device)
    compare_on_cpu("DINO", size.batch_size, sides)


def compare_on_cpu(objective: str, batch_size: int, sides: dict[str, Iterator[object]]) -> None:
    """Times the floor, the published step, ours and ours in bf16, in turns; prints the ratios."""
    times = in_turns(sides, rounds=9, warm_rounds=2, device=torch.device("cpu"))
    for name, taken in times.items():
        s_per_step = statistics.median(taken)
        print(f"{name:38s} {s_per_step:6.3f} s/step {batch_size / s_per_step:7.1f} images/s")
    floor, published, ours, *bf16 = times.values()
    print(describe_ratio("our step over the floor, fp32", ours, floor))
    print(describe_ratio(f"{objective} step against the published, fp32 both", published, ours))
    for half in bf16:
        print(describe_ratio("our bf16 step against the published in fp32", published, half))


def floor_steps(matmul_flops: float, side: int) -> Iterator[None]:
    """One matrix product after another, of a size the CPU likes, until a step's FLOPs are done."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    out = torch.empty(side, side)
    while True:
        for _ in range(round(matmul_flops / (2 * side**3))):
            torch.mm(a, b, out=out)
        yield


def on_gpu() -> None:
    device, size = torch.device("cuda"), ON_GPU
    name = torch.cuda.get_device_name(device)
    print(f"{name}, bf16, {size}")
    check_same(size, "bf16", device)
    medians: dict[str, float] = {}
    for side, make in (("published step", published_steps), ("our step", our_steps)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        steps: Iterator[object] = make(size, "bf16", device)
        taken = in_turns({side: steps}, rounds=30, warm_rounds=10, device=device)[side]
        medians[side] = statistics.median(taken)
        del steps
        print(
            f"{side:16s} {medians[side] * 1e3:7.1f} ms/step "
            f"{size.batch_size / medians[side]:7.0f} images/s "
            f"{torch.cuda.max_memory_allocated(device) / 2**30:5.1f} GiB peak"
            f"{utilisation(name, size, medians[side])}"
        )
    print(
        f"DINO step against the published: {medians['published step'] / medians['our step']:.2f}x"
    )


def utilisation(device_name: str, size: Size, s_per_step: float) -> str:
    """Model FLOPs utilisation, where the device's peak is known."""
    peaks = [peak for key, peak in PEAK_BF16_FLOPS.items() if key in device_name]
    return f" {size.matmul_flops() / s_per_step / peaks[0]:6.1%} MFU" if peaks else ""


def main() -> None:
    """Measures and prints."""
    if torch.cuda.is_available():
        on_gpu()
    else:
        on_cpu()


if __name__ == "__main__":
    main()
