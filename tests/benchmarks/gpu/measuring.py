"""Time, memory and operations of training steps on one device."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Pace:
    """Number of steps that are measured. The device is waited for once per chunk."""

    warm_steps: int = 8
    chunk_steps: int = 5
    chunks: int = 6


@dataclass(frozen=True)
class Measured:
    """Figures of one kind of step."""

    s_per_step: float
    """Median over the chunks."""

    first_step_s: float
    """Time of the first step, in which modules are compiled."""

    peak_bytes: int | None
    """Largest memory during the measured steps; None on a CPU."""

    counted_flops: float | None
    """Operations that one step really carries out, recomputed ones too, counted by torch at every
    matrix product; None if they were not counted.
    """


def measure(
    make_steps: Callable[[], Iterator[object]],
    device: torch.device,
    pace: Pace,
    counts_operations: bool,
) -> Measured:
    """Runs steps and measures them.

    Args:
        make_steps: makes the steps, with a model of their own.
        device: where they run.
        pace: number of steps.
        counts_operations: whether operations are counted in the first step, which is possible for
            steps that are not compiled.
    """
    _forget(device)
    steps = make_steps()
    counter = FlopCounterMode(display=False)
    with counter if counts_operations else nullcontext():
        first_step_s = seconds_of(lambda: next(steps), device)
    for _ in range(pace.warm_steps):
        next(steps)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = [_seconds_of_chunk(steps, device, pace.chunk_steps) for _ in range(pace.chunks)]
    return Measured(
        s_per_step=statistics.median(times),
        first_step_s=first_step_s,
        peak_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        counted_flops=counter.get_total_flops() if counts_operations else None,
    )


def _seconds_of_chunk(steps: Iterator[object], device: torch.device, count: int) -> float:
    def run() -> None:
        for _ in range(count):
            next(steps)

    return seconds_of(run, device) / count


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Returns the time until the device has finished the work."""
    _wait(device)
    start_s = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start_s


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forget(device: torch.device) -> None:
    """Frees the memory of the steps before, and what was compiled for them."""
    gc.collect()
    torch.compiler.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
