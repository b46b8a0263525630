"""Estimates how long a training step takes.

In: recipes. Out: a ``Pace`` (seconds per step) for each kind of recipe. The time is taken from
finished trials of this kind, or measured on a few steps in this process. If neither is possible,
the time is unknown and the reason is given. Next: ``poise.sweeps.forecast`` and
``poise.sweeps.budget``.
"""

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch

from poise.config import PoiseError, Recipe
from poise.config.paths import STUDY_FILE, home
from poise.data.batch import ViewBatch
from poise.data.dataset import ImageDataset
from poise.data.views.cutter import ViewCutter
from poise.studies.records import TRIAL_FILE
from poise.studies.study import Study, load_study
from poise.training.loop import new_state, train_steps
from poise.training.schedule import Timetable, steps_per_epoch, total_steps_of

_STEPS = 3  # measured steps, after one step that is not measured
_IMAGES = 32  # largest number of images in a measured step; larger steps are scaled
_LEAST_SHARE = 0.5  # of a trial's length: in shorter trials the start dominates

Kind = tuple[Any, ...]

_FREE = {
    "student_temp", "teacher_temp", "warmup_teacher_temp", "warmup_teacher_temp_epochs",
    "teacher_momentum", "final_teacher_momentum", "center_momentum", "freeze_last_layer_epochs",
}  # fmt: skip
"""Settings of DINO that do not change how long a step takes."""


@dataclass(frozen=True)
class Pace:
    """Time per training step, for one kind of trial."""

    seconds_per_step: float | None
    """Elapsed seconds per step; None if unknown."""

    source: str
    """Sentence about the origin of the time, or about the reason why it is unknown."""


def kind_of(recipe: Recipe) -> Kind:
    """Returns the settings that decide how long a step takes.

    Recipes that agree in these settings are of one kind.
    """
    return (
        str(recipe.objective.model_dump(mode="json", exclude=_FREE)),
        str(recipe.backbone.described),
        str(recipe.data.views.model_dump(mode="json")),
        recipe.data.dataset,
        recipe.training.batch_size,
        recipe.training.micro_batch_size,
        recipe.training.activation_checkpointing,
        recipe.training.num_workers,
        recipe.training.device,
        recipe.training.precision,
        recipe.training.compile,
        recipe.training.cpus_per_worker,
    )


def paces_of(recipes: Iterable[Recipe], may_use_gpu: bool = True) -> dict[Kind, Pace]:
    """Finds the time per step of each kind of recipe.

    The time comes from the first of these sources that has it:

    1. Finished trials of this kind. A trial counts if it has at least half as many steps as the
       longest recipe of this kind. The result is the median over the trials.
    2. A few training steps in this process.

    If neither source has it, the time is unknown.

    Args:
        recipes: recipes of trials.
        may_use_gpu: whether steps may be measured on a GPU. This process then occupies GPU memory
            until it ends.
    """
    finished = list(_finished())
    longest: dict[Kind, Recipe] = {}
    for recipe in sorted(recipes, key=total_steps_of):
        longest[kind_of(recipe)] = recipe
    return {
        kind: _pace_of(recipe, [each for of, each in finished if of == kind], may_use_gpu)
        for kind, recipe in longest.items()
    }


def pace_lines(paces: Iterable[Pace]) -> list[str]:
    """Describes the times per step, with one line for each source."""
    by_source: dict[str, list[float]] = {}
    for pace in paces:
        known = by_source.setdefault(pace.source, [])
        known += [] if pace.seconds_per_step is None else [pace.seconds_per_step]
    return [f"{_span(known)}{source}" for source, known in by_source.items()]


def _span(seconds: Sequence[float]) -> str:
    if not seconds:
        return ""
    low, high = f"{min(seconds):.3g}", f"{max(seconds):.3g}"
    return f"{low} s a step, " if low == high else f"{low} to {high} s a step, by settings, "


@dataclass(frozen=True)
class _Taken:
    """Number of training steps and seconds of a trial that trained to its end."""

    steps: int
    seconds: float


def _pace_of(recipe: Recipe, finished: Iterable[_Taken], may_use_gpu: bool) -> Pace:
    least = _LEAST_SHARE * total_steps_of(recipe)
    taken = [each.seconds / each.steps for each in finished if each.steps >= least]
    if taken:
        trials = "a finished trial" if len(taken) == 1 else f"{len(taken)} finished trials"
        source = f"as {trials} of its kind in {home()} took, starts and evaluations included"
        return Pace(median(taken), source)
    reason = _why_not_here(recipe, may_use_gpu)
    return Pace(None, reason) if reason else _measured(recipe)


def _finished() -> Iterator[tuple[Kind, _Taken]]:
    """Yields the kind and the time of each trial under ``home()`` that trained to its end.

    Unreadable trials are skipped.
    """
    for path in home().glob(f"*/{STUDY_FILE}"):
        with suppress(PoiseError):  # of another version of Poise
            study = load_study(path.parent)
            for trial in study.folder.glob(f"*/{TRIAL_FILE}"):
                with suppress(PoiseError):
                    yield from _finished_as(study, trial.parent.name)


def _finished_as(study: Study, trial: str) -> Iterator[tuple[Kind, _Taken]]:
    record = study.record(trial)
    if record is not None and record.state == "finished" and record.step:
        recipe = record.trial.recipe(study.recipe, study.name)
        yield kind_of(recipe), _Taken(record.step, record.seconds)


def _why_not_here(recipe: Recipe, may_use_gpu: bool) -> str:
    if os.environ.get("RAY_ADDRESS"):
        return "unknown: it would run on the cluster of RAY_ADDRESS, where no step was tried"
    if recipe.training.device == "cuda" and not torch.cuda.is_available():
        return "unknown: training.device=cuda, and this machine has no GPU to try it on"
    if _uses_gpu(recipe) and not may_use_gpu:
        return "unknown: no trial of its kind has finished, and the GPU is left to the trials"
    return ""


def _uses_gpu(recipe: Recipe) -> bool:
    return recipe.training.device != "cpu" and torch.cuda.is_available()


def _measured(recipe: Recipe) -> Pace:
    training = recipe.training
    gpu = _uses_gpu(recipe)
    device = torch.device("cuda" if gpu else "cpu")
    images = min(_IMAGES, recipe.worker_batch_size)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(training.cpus_per_worker)))
    try:
        taken = median(_step_seconds(recipe, images, device))
    finally:
        torch.set_num_threads(threads)
    cpus = f"{training.cpus_per_worker:g} of this machine's {os.cpu_count()} CPUs"
    where = torch.cuda.get_device_name() if gpu else cpus
    scaled = f", scaled to {recipe.worker_batch_size}" if images < recipe.worker_batch_size else ""
    return Pace(
        taken * recipe.worker_batch_size / images,
        f"as {_STEPS} steps of {images} images took here on {where}{scaled}; starts, evaluations "
        "and waiting for images need additional time",
    )


class _Unobserved(Timetable):
    """Timetable of a run that never logs metrics."""

    def is_boundary(self, step: int) -> bool:
        return False


def _step_seconds(recipe: Recipe, images: int, device: torch.device) -> list[float]:
    state = new_state(recipe, device)
    timetable = _Unobserved(recipe, steps_per_epoch(recipe))
    batches = itertools.repeat(_drawn(recipe, images), _STEPS + 1)
    seconds, before_s = [], time.perf_counter()
    for report in train_steps(timetable, state, batches):
        if device.type == "cuda":
            torch.cuda.synchronize()
        now_s = time.perf_counter()
        if report.step > 1:
            seconds.append(now_s - before_s)
        before_s = now_s
    return seconds


def _drawn(recipe: Recipe, images: int) -> ViewBatch:
    encoded = ImageDataset.open(recipe.data.dataset).read(np.arange(images, dtype=np.int64))
    return ViewCutter(recipe.data.views, recipe.seed)(encoded, epoch=0)
