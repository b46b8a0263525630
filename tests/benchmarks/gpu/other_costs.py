"""Costs beside the step: colours of the views, diagnostics, and the slowest kernels."""

import statistics
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from poise.config import Recipe
from poise.config.views import ViewsConfig
from poise.data.views.color_augmentation import DRAWS_PER_PHOTOMETRY, Photometry, draw_parameters
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD
from tests.benchmarks.bench_diagnostics import FLOOR, OBSERVED, shares, times_of
from tests.benchmarks.bench_dino_step import our_steps
from tests.benchmarks.gpu.measuring import seconds_of
from tests.benchmarks.gpu.output import Place, attempt, tell
from tests.benchmarks.gpu.workloads import Workload
from tests.builders import random_batch

_PHOTOMETRY_CALLS = 10
_DIAGNOSED_ROUNDS = 12
_PROFILED_STEPS = 3
_SLOWEST_KERNELS = 12


def measure_other_costs(place: Place, workload: Workload) -> None:
    """Tells what else a step of this workload costs."""
    recipe = workload.size.recipe(place.precision)
    attempt("photometry", lambda: _measure_photometry(place, recipe))
    attempt("diagnostics", lambda: _measure_diagnostics(place, recipe))
    attempt("slowest kernels", lambda: _measure_kernels(place, recipe))
    tell(
        "note",
        what="shared batch norm (SyncBN)",
        text="n/a: one GPU shares no statistics, and vision transformers have no batch norm",
    )


def _measure_photometry(place: Place, recipe: Recipe) -> None:
    """Times the colours of one batch, with parameters drawn as in training."""
    views, batch = recipe.data.views, random_batch(recipe).to(place.device)
    photometry = Photometry(views, IMAGENET_MEAN, IMAGENET_STD)
    groups = [
        (pixels, parameters.to(place.device))
        for pixels, parameters in zip(
            (batch.global_views, batch.local_views), _drawn(views, len(batch)), strict=True
        )
    ]

    def run() -> None:
        for pixels, parameters in groups:
            photometry(pixels, parameters)

    run()
    taken = [seconds_of(run, place.device) for _ in range(_PHOTOMETRY_CALLS)]
    values = sum(pixels.numel() for pixels, _ in groups)
    tell(
        "photometry",
        images=len(batch),
        s_per_batch=statistics.median(taken),
        least_bytes=values * (1 + 4),  # uint8 is read and float32 is written
    )


def _drawn(views: ViewsConfig, images: int) -> Iterator[Tensor]:
    """Draws photometric parameters of the global views, then of the local views."""
    generator = np.random.default_rng(0)
    others = views.global_count - 1
    chances = (
        (
            [views.first_global_blur_probability] + [views.other_global_blur_probability] * others,
            [views.first_global_solarize_probability]
            + [views.other_global_solarize_probability] * others,
        ),
        (
            [views.local_blur_probability] * views.local_count,
            [views.local_solarize_probability] * views.local_count,
        ),
    )
    for blur, solarize in chances:
        uniform = generator.random((len(blur), images, DRAWS_PER_PHOTOMETRY))
        columns = np.array(blur)[:, None], np.array(solarize)[:, None]
        yield torch.from_numpy(draw_parameters(uniform, views, *columns))


def _measure_diagnostics(place: Place, recipe: Recipe) -> None:
    times = times_of(recipe, place.device, rounds=2 if place.tiny else _DIAGNOSED_ROUNDS)
    interval = recipe.training.log_every_steps
    low, share, high = shares(times, interval)
    tell(
        "diagnostics",
        s_without=statistics.median(times[FLOOR]),
        s_with=statistics.median(times[OBSERVED]),
        every_steps=interval,
        share=share,
        low=low,
        high=high,
    )


def _measure_kernels(place: Place, recipe: Recipe) -> None:
    """Tells the kernels that take most of an uncompiled step."""
    steps = our_steps(recipe, place.device)
    for _ in range(_PROFILED_STEPS):
        next(steps)
    on_gpu = place.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiler:
        seconds_of(lambda: [next(steps) for _ in range(_PROFILED_STEPS)], place.device)
    column = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    taken = {event.key: getattr(event, column) for event in profiler.key_averages()}
    total = sum(taken.values())
    slowest = sorted(taken, key=taken.__getitem__, reverse=True)[:_SLOWEST_KERNELS]
    tell("kernels", shares={name[:100]: taken[name] / total for name in slowest})
