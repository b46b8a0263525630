"""A DINO training step against a plain transcription of the published one.

Run as ``python tests/benchmarks/bench_dino_step.py``. Ours is ``train_steps``, as a run uses it;
both see the same views from the same weights, and must report the same losses before they are
timed. A small ViT on one thread, both in fp32, and ours in bf16 where it is computed in hardware.
``gpu/bench_gpu.py`` measures the published sizes on a GPU.

The published step's colours are made by its data loader. So views here have none to change, and
ours only normalises, which the published one is given done.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module

from poise.config import Recipe
from poise.config.objectives import DinoConfig
from poise.data.views.color_augmentation import Photometry
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from poise.objectives import build_objective
from poise.objectives.base import Objective, RunPosition
from poise.training.loop import TrainingState, train_steps
from poise.training.observer import FinishedStep
from poise.training.optimizer import build_optimizer, schedules
from poise.training.precision import computes_bf16
from poise.training.schedule import Timetable
from tests.benchmarks.published_dino_step import Head, MultiCrop, PublishedStep, VisionTransformer
from tests.builders import random_batch

CHECKED_STEPS = 3


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
    recipe: Recipe,
    device: torch.device,
    observed: bool = False,
    prepare: Callable[[Objective], object] = lambda objective: None,
) -> Iterator[FinishedStep]:
    """Training as a run does it, on one batch for ever.

    Args:
        recipe: what is trained.
        device: where.
        observed: whether every step is logged with all diagnostics; else none is.
        prepare: changes the objective before the first step.
    """
    state = our_state(recipe, device)
    prepare(state.objective)
    batches = itertools.repeat(random_batch(recipe).to(device))
    return train_steps(Steady(recipe, LONG.steps_per_epoch, observed), state, batches)


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


def check_same(ours: Iterator[FinishedStep], published: Iterator[Tensor], precision: str) -> None:
    """Ends the script unless both sides report the same losses over a few steps."""
    tolerance = 1e-4 if precision == "fp32" else 1e-2
    for report, loss in itertools.islice(zip(ours, published, strict=False), CHECKED_STEPS):
        here, there = report.metrics["loss/total"], loss.item()
        if abs(here - there) > tolerance * there:
            raise SystemExit(f"step {report.step}: loss {here} here, {there} as published")
    print(f"losses agree over {CHECKED_STEPS} steps in {precision}, the last at {there:.4f}")


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


class MeasuredSize(Protocol):
    """Size at which a training step is measured."""

    @property
    def batch_size(self) -> int:
        """Images per step."""

    def recipe(self, precision: str) -> Recipe:
        """Returns the published settings at this size."""

    def matmul_flops(self) -> float:
        """Counts the operations of the matrix products of a step."""


def compare_on_cpu(
    objective: str,
    size: MeasuredSize,
    published_steps: Callable[[str, torch.device], Iterator[Tensor]],
    floor_side: int,
) -> None:
    """Times the floor, the published step, ours and ours in bf16, in turns; prints the ratios.

    Args:
        objective: name for the printed lines.
        size: what is trained.
        published_steps: function of a precision and a device that runs the published step.
        floor_side: side of the square matrices of the floor, of a size that the CPU likes.
    """
    torch.set_num_threads(1)
    device = torch.device("cpu")
    print(f"one CPU thread, {size}")
    recipe = size.recipe("fp32")
    check_same(our_steps(recipe, device, True), published_steps("fp32", device), "fp32")
    sides: dict[str, Iterator[object]] = {
        "the floor: its matrix products alone": floor_steps(size.matmul_flops(), floor_side),
        "published step, fp32": published_steps("fp32", device),
        "our step, fp32": our_steps(recipe, device),
    }
    if computes_bf16(device):
        sides["our step, bf16"] = our_steps(size.recipe("bf16"), device)
    batch_size = size.batch_size
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


def main() -> None:
    """Measures and prints."""
    compare_on_cpu("DINO", ON_CPU, partial(published_steps, ON_CPU), floor_side=1024)


if __name__ == "__main__":
    main()
