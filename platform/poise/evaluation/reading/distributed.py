"""One pass over images, spread over the processes of a Ray cluster.

In: what ``poise.evaluation.reading.passes`` was asked. Out: the same outputs in the same order.
Next: ``poise.evaluation.reading.passes`` hands them on.

Slices of sample ids go to actors that hold the reader, a few ahead of who asks, so memory does
not grow with the images. An actor opens the dataset where it runs: every machine must reach it. A
lost actor is started again and its slices are read again.
"""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from poise.cluster.connection import start_ray
from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset
from poise.evaluation.reading.bench import Bench, Outputs, no_progress, pass_here
from poise.evaluation.reading.images import EvaluationImages, num_cpus

_SLICE_BATCHES = 8  # of a task: long enough that a task's own cost of milliseconds is nothing
_IN_FLIGHT = 2  # tasks per actor, so that none waits for the driver
_WORTH_A_CLUSTER = 50_000  # images that repay the seconds which starting Ray takes

Answer = list[tuple[dict[str, NDArray[Any]], NDArray[np.int64]]] | str
"""A slice's batches, or what a person can put right: Ray would bury that in a traceback."""


def pays(num_images: int) -> bool:
    """Whether to spread a pass over Ray: on a cluster or several GPUs always, here if it is long.

    On one machine the threads of one process use its CPUs as well; many CPUs outgrow them.
    """
    if os.environ.get("RAY_ADDRESS"):
        return True
    if torch.cuda.is_available():
        return torch.cuda.device_count() > 1
    return num_cpus() > 4 and num_images >= _WORTH_A_CLUSTER


def pass_over_ray(
    reader: nn.Module, images: EvaluationImages, bench: Bench
) -> Iterator[tuple[Outputs, Tensor]]:
    """``image_pass`` on every GPU of the cluster, or else on every CPU."""
    start_ray()
    slice_size = _SLICE_BATCHES * bench.images_at_once
    slices = [
        images.sample_ids[start : start + slice_size] for start in range(0, len(images), slice_size)
    ]
    shared = ray.put(reader.cpu())
    reader.to(bench.device)
    # Batches stay this bench's on another kind of device; who is told of them stays here.
    travelling = replace(bench, batch_size=bench.images_at_once, on_images=no_progress)
    settings = (shared, images.folder.absolute(), images.image_px, travelling)
    actors = [_actor(*settings) for _ in range(_num_actors(len(slices)))]
    waiting: deque[ray.ObjectRef] = deque()
    try:
        for number, sample_ids in enumerate(slices):
            waiting.append(actors[number % len(actors)].read.remote(sample_ids))
            if len(waiting) > _IN_FLIGHT * len(actors):
                yield from _answered(ray.get(waiting.popleft()), bench.device)
        while waiting:
            yield from _answered(ray.get(waiting.popleft()), bench.device)
    finally:
        for actor in actors:
            ray.kill(actor)


def _num_actors(num_slices: int) -> int:
    resources = ray.cluster_resources()
    return max(1, min(num_slices, int(resources.get("GPU", 0) or resources.get("CPU", 1))))


def _actor(*settings: Any) -> Any:
    has_gpu = ray.cluster_resources().get("GPU", 0) > 0
    remote = ray.remote(
        num_cpus=0 if has_gpu else 1,
        num_gpus=1 if has_gpu else 0,
        max_restarts=3,
        max_task_retries=3,
    )(_Reader)
    return remote.remote(*settings)


def _answered(answer: Answer, device: torch.device) -> Iterator[tuple[Outputs, Tensor]]:
    if isinstance(answer, str):
        raise PoiseError(answer)
    for arrays, labels in answer:
        # Copied, because Ray's memory is read-only.
        outputs = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        yield (
            {name: tensor.to(device) for name, tensor in outputs.items()},
            torch.from_numpy(labels.copy()),
        )


class _Reader:
    """Holds the reader in a process of its own."""

    def __init__(self, reader: nn.Module, folder: Path, image_px: int, bench: Bench) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if device.type == "cpu":
            torch.set_num_threads(1)  # it claimed one CPU
        self._module = reader.to(device)
        self._open = (folder, image_px)
        self._bench = replace(bench, device=device)
        self._images: EvaluationImages | None = None

    def read(self, sample_ids: NDArray[np.int64]) -> Answer:
        """The outputs of a slice, batch by batch."""
        try:
            images = self._slice(sample_ids)
            return [
                ({name: tensor.cpu().numpy() for name, tensor in outputs.items()}, labels.numpy())
                for outputs, labels in pass_here(self._module, images, self._bench)
            ]
        except PoiseError as error:
            return str(error)

    def _slice(self, sample_ids: NDArray[np.int64]) -> EvaluationImages:
        if self._images is None:
            folder, image_px = self._open
            self._images = EvaluationImages(ImageDataset.open(folder), image_px)
        return self._images.only(np.array(sample_ids))
