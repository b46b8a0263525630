"""Distributes one pass over images to the processes of a Ray cluster.

In: a module and images. Out: the same outputs in the same order as from one process. Next:
``poise.evaluation.reading.dataset_pass``, if ``pass_over_ray`` is the ``spread`` of a ``Bench``.

Ray actors store the module and receive slices of sample ids. Only a few slices are processed at
once, so memory does not grow with the number of images. Each actor opens the dataset on its own
machine, so every machine needs access to the dataset. If an actor dies, Ray restarts it, and the
actor computes its slices again.
"""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from torch import nn

from poise.cluster.connection import start_ray
from poise.config.errors import PoiseError
from poise.evaluation.reading.image_sets import ImageSet
from poise.evaluation.reading.images import num_cpus
from poise.evaluation.reading.inference import Answers, Bench, no_progress, pass_here

_SLICE_BATCHES = 8  # batches per task, because each task costs a few milliseconds
_IN_FLIGHT = 2  # tasks per actor, so that no actor waits for the driver
_WORTH_A_CLUSTER = 50_000  # with more images, starting Ray saves time although it takes seconds

Slice = list[tuple[dict[str, NDArray[Any]], NDArray[np.int64]]] | str
"""Outputs and labels of a slice (some consecutive batches of images), or the text of a
``PoiseError``. The error is sent as text, because Ray would hide an exception in a traceback.
"""


def pays(num_images: int) -> bool:
    """Returns True if a pass over this many images is faster over Ray.

    Ray is faster on a cluster and on several GPUs. On one machine with few CPUs, the threads of one
    process are as fast. With more than 4 CPUs and at least 50,000 images, Ray is faster although it
    takes some seconds to start.
    """
    if os.environ.get("RAY_ADDRESS"):
        return True
    if torch.cuda.is_available():
        return torch.cuda.device_count() > 1
    return num_cpus() > 4 and num_images >= _WORTH_A_CLUSTER


def pass_over_ray(module: nn.Module, images: ImageSet, bench: Bench) -> Answers:
    """Passes images through a module on every GPU of the cluster.

    Without a GPU it uses every CPU.
    """
    start_ray()
    slice_size = _SLICE_BATCHES * bench.images_at_once
    slices = [
        images.sample_ids[start : start + slice_size] for start in range(0, len(images), slice_size)
    ]
    shared = ray.put(module.cpu())
    module.to(bench.device)
    # All devices use the batch size of this bench. Only this process reports progress.
    travelling = replace(bench, batch_size=bench.images_at_once, on_images=no_progress, spread=None)
    settings = (shared, images.opener, travelling)
    actors = [_actor(*settings) for _ in range(_num_actors(len(slices)))]
    waiting: deque[ray.ObjectRef] = deque()
    try:
        for number, sample_ids in enumerate(slices):
            waiting.append(actors[number % len(actors)].outputs_of.remote(sample_ids))
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
    )(_PassActor)
    return remote.remote(*settings)


def _answered(answer: Slice, device: torch.device) -> Answers:
    if isinstance(answer, str):
        raise PoiseError(answer)
    for arrays, labels in answer:
        # Arrays in Ray's memory are read-only, so they are copied.
        outputs = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        yield (
            {name: tensor.to(device) for name, tensor in outputs.items()},
            torch.from_numpy(labels.copy()),
        )


class _PassActor:
    """Ray actor with a copy of the module.

    It computes the module's outputs for slices of the images.
    """

    def __init__(self, module: nn.Module, opener: Callable[[], ImageSet], bench: Bench) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if device.type == "cpu":
            torch.set_num_threads(1)  # the actor reserved one CPU
        self._module = module.to(device)
        self._open = opener
        self._bench = replace(bench, device=device)
        self._images: ImageSet | None = None

    def outputs_of(self, sample_ids: NDArray[np.int64]) -> Slice:
        """Computes the module's outputs for the images with these ids, batch by batch."""
        try:
            images = self._slice(sample_ids)
            return [
                ({name: tensor.cpu().numpy() for name, tensor in outputs.items()}, labels.numpy())
                for outputs, labels in pass_here(self._module, images, self._bench)
            ]
        except PoiseError as error:
            return str(error)

    def _slice(self, sample_ids: NDArray[np.int64]) -> ImageSet:
        if self._images is None:
            self._images = self._open()
        return self._images.only(np.array(sample_ids))
