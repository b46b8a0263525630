"""Tells the user when training waits for data, which stage is too slow, and what would help.

In: the speeds of an interval between two logged steps (``poise.training.interval_metrics``). Out: a
sentence, if the bottleneck has changed. Next: ``poise.training.logging_and_checkpoints``, which
tells the run's observers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from poise.config.recipe import Recipe
from poise.data.dataset import ImageDataset

TELL_FROM = 0.1
"""Share of training time spent waiting for data. From this share on, the user is told."""

TELL_IN_TURN_FROM = 0.5
"""Replaces ``TELL_FROM`` if one process alternates between cutting views and training. Then some
waiting is normal. Data is the bottleneck only if it takes as long as training.
"""

TELL_END_BELOW = 0.05
"""Share of waiting time below which the user is told that training no longer waits. It is lower
than ``TELL_FROM``, so that a share near ``TELL_FROM`` does not cause many messages.
"""

LOOKS_AT_S = 30.0
"""Shortest time in seconds over which waiting is measured before a message. Single steps may wait
for other reasons.
"""

_MOST_PROCESSES = 64
_LARGE_BYTES_PER_PIXEL = 1.2  # of a view, if an image is much larger than the view: 60 kB at 224 px
_LARGE_BYTES = 20_000  # smaller files are decoded quickly

Stage = Literal["reading", "cutting", "prefetch"]


def works_in_advance(recipe: Recipe) -> bool:
    """Returns True if other processes prepare batches during training."""
    return recipe.data.placement != "worker" or recipe.data.cut_processes > 0


def slowest_stage(metrics: Mapping[str, float], recipe: Recipe) -> Stage:
    """Returns the stage of data loading that training waits for.

    ``prefetch`` means that each stage is on average faster than training, and training waits only
    for single slow batches. This is possible only if other processes prepare batches.
    """
    read, cut = (
        metrics.get(f"throughput/{name}_images_per_s", math.inf) for name in ("read", "cut")
    )
    if works_in_advance(recipe) and min(read, cut) > metrics["throughput/train_images_per_s"]:
        return "prefetch"
    return "reading" if read <= cut else "cutting"


@dataclass
class BottleneckWatch:
    """Compares the speeds of data loading and training during a run."""

    recipe: Recipe
    told: Stage | None = None
    """Stage in the last message to the user; None if training did not wait."""

    looks_at_s: float = LOOKS_AT_S
    last_step: int | None = None
    """Last step whose metrics were seen; None before the first metrics. The first metrics are
    ignored, because data loading is starting.
    """

    waited_s: float = 0.0
    elapsed_s: float = 0.0

    def sentence(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Returns a sentence for the user if the bottleneck has changed.

        Args:
            step: last step of the interval.
            metrics: metrics of the interval.
        """
        share = self._share_of_time(step, metrics)
        tell_from = TELL_FROM if works_in_advance(self.recipe) else TELL_IN_TURN_FROM
        if share is None or (self.told and TELL_END_BELOW <= share < tell_from):
            return None
        stage = slowest_stage(metrics, self.recipe) if share >= tell_from else None
        if stage == self.told:
            return None
        self.told = stage
        if stage is None:
            return f"step {step}: data is no bottleneck any more ({share:.0%} of the time)"
        return f"step {step}: {bottleneck_sentence(stage, share, metrics, self.recipe)}"

    def _share_of_time(self, step: int, metrics: Mapping[str, float]) -> float | None:
        """Returns the share of time spent waiting for data; None before ``looks_at_s`` seconds."""
        if "throughput/s_per_step" not in metrics:
            return None
        before, self.last_step = self.last_step, step
        if before is None:
            return None
        seconds = (step - before) * metrics["throughput/s_per_step"]
        self.elapsed_s += seconds
        self.waited_s += seconds * metrics["throughput/data_wait_share"]
        if self.elapsed_s < self.looks_at_s:
            return None
        share, self.elapsed_s, self.waited_s = self.waited_s / self.elapsed_s, 0.0, 0.0
        return share


def bottleneck_sentence(
    stage: Stage, share: float, metrics: Mapping[str, float], recipe: Recipe
) -> str:
    """Describes how long training waits, for which stage, and what would help."""
    train = _rate(metrics, "train")
    begin = f"data is the bottleneck: training waits for it {share:.0%} of the time"
    if stage == "prefetch":
        ready = recipe.data.prefetch_batches
        cause = "because single batches take long, although all stages are fast enough"
        return f"{begin}, {cause}. This may help: data.prefetch_batches={2 * ready} (now {ready})"
    helps = _for_cutting(metrics, recipe) if stage == "cutting" else _for_reading(recipe)
    name = "cutting views" if stage == "cutting" else "reading images"
    speed = _rate(metrics, "cut" if stage == "cutting" else "read")
    cause = f"because {name} takes {speed:.0f} images/s at most and training {train:.0f}"
    return f"{begin}, {cause}. This helps: {'; '.join(helps)}"


def _rate(metrics: Mapping[str, float], stage: str) -> float:
    return metrics[f"throughput/{stage}_images_per_s"]


def _for_cutting(metrics: Mapping[str, float], recipe: Recipe) -> list[str]:
    data, training = recipe.data, recipe.training
    now = max(1, data.cut_processes)
    ratio = _rate(metrics, "train") / _rate(metrics, "cut")
    needed = min(_MOST_PROCESSES, max(data.cut_processes + 1, math.ceil(now * ratio)))
    helps = [f"data.cut_processes={needed} (now {data.cut_processes})"]
    if data.placement == "worker":
        helps[0] += f" with training.cpus_per_worker={needed} (now {training.cpus_per_worker:g})"
        helps.append("data.placement=cpu_nodes or cluster, to cut on the CPUs of other nodes")
    return [*helps, *_smaller_files(recipe), "smaller or fewer views (data.views)"]


def _for_reading(recipe: Recipe) -> list[str]:
    closer = "a copy of the dataset on faster storage, such as the nodes' own disks"
    return [closer, *_smaller_files(recipe)]


def _smaller_files(recipe: Recipe) -> list[str]:
    """Returns advice to use smaller images, if the dataset's images are larger than necessary."""
    px, mean_bytes = recipe.data.views.global_px, ImageDataset.open(recipe.data.dataset).mean_bytes
    if mean_bytes < max(_LARGE_BYTES, _LARGE_BYTES_PER_PIXEL * px**2):
        return []
    return [
        f"a dataset prepared from smaller images (now {mean_bytes / 1000:.0f} kB on average; views "
        f"have {px} px, so a shorter side of {2 * px} px is enough)"
    ]
