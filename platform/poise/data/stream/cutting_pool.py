"""Cuts views for training: in advance in other processes, or on request in this process.

In: batches of encoded images with their epochs. Out: ``ViewBatch``es in the same order. Next: the
training loop.

Images and views are passed between processes in shared memory, in one buffer for each array.
Passing a buffer needs several messages between the processes, so small arrays are sent in a message
instead. Creating shared memory takes most of the time, so the buffers of the images are reused.
"""

import math
import multiprocessing
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from poise.config.errors import PoiseError
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.dataset import EncodedBatch, PackedImages
from poise.data.manifest import Bounds
from poise.data.stream.reader import Work
from poise.data.stream.stage_times import StageTimes
from poise.data.views.cutter import ViewCutter


def cut_ahead(
    recipe: Recipe, work: Iterable[Work], pin_memory: bool, times: StageTimes
) -> Generator[ViewBatch]:
    """Cuts batches in order and in advance, in ``recipe.data.cut_processes`` processes.

    Closing the iterator ends the processes. If their number is 0, this process cuts views on
    request. A thread would not help in that case. It would share the core with training, and was
    slower than cutting and training in turn. ``times`` receives the cutting time of every batch.

    Raises:
        PoiseError: an image cannot be decoded.
    """
    if recipe.data.cut_processes:
        yield from _in_processes(recipe, work, pin_memory, times)
        return
    cuts = _Cuts(ViewCutter(recipe.data.views, recipe.seed))
    for epoch, encoded in work:
        cut = cuts.cut(encoded, epoch)
        times.cut(len(cut.batch), cut.seconds)
        yield cut.batch.pin_memory() if pin_memory else cut.batch


def _in_processes(
    recipe: Recipe, work: Iterable[Work], pin_memory: bool, times: StageTimes
) -> Iterator[ViewBatch]:
    processes = recipe.data.cut_processes
    context = multiprocessing.get_context("forkserver")  # fork would copy threads of Ray and torch
    context.set_forkserver_preload([__name__])  # imports torch once, not once per process
    buffers = _Buffers()
    loader: DataLoader[_Cut | _Failure] = DataLoader(
        _Cuts(ViewCutter(recipe.data.views, recipe.seed, allocate=_shared)),
        sampler=map(buffers.errand, work),
        batch_size=None,
        num_workers=processes,
        prefetch_factor=-(-recipe.data.prefetch_batches // processes),
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        multiprocessing_context=context,
        generator=torch.Generator(),  # the default would change training's own generator
    )
    for cut in loader:
        if isinstance(cut, _Failure):
            raise PoiseError(cut.message)
        buffers.release_oldest()
        times.cut(len(cut.batch), cut.seconds)
        yield cut.batch


@dataclass(frozen=True)
class _Cut:
    """Views of a batch, and the time in seconds that cutting them took."""

    batch: ViewBatch
    seconds: float

    def pin_memory(self) -> "_Cut":
        return replace(self, batch=self.batch.pin_memory())


@dataclass(frozen=True)
class _Failure:
    """Expected error in a cutting process, returned as text.

    If the process raised the error, ``DataLoader`` would add a traceback to its message.
    """

    message: str


@dataclass(frozen=True)
class _Errand:
    """Batch of encoded images on its way to the process that cuts its views."""

    epoch: int
    data: Tensor  # in shared memory
    ends: NDArray[np.int64]
    labels: NDArray[np.int64]
    sample_ids: NDArray[np.int64]
    ranges: Mapping[str, Bounds]

    @property
    def encoded(self) -> EncodedBatch:
        images = PackedImages(self.data.numpy(), self.ends)
        return EncodedBatch(images, self.labels, self.sample_ids, self.ranges)


class _Buffers:
    """Pool of shared memory for the images of the batches that are being cut.

    Batches come back in the order in which they were sent.
    """

    def __init__(self) -> None:
        self._under_way: deque[Tensor] = deque()
        self._free: list[Tensor] = []

    def errand(self, work: Work) -> _Errand:
        epoch, encoded = work
        images = PackedImages.of(encoded.images)
        buffer = self._take(len(images.data))
        buffer.numpy()[: len(images.data)] = images.data
        return _Errand(
            epoch, buffer, images.ends, encoded.labels, encoded.sample_ids, encoded.ranges
        )

    def release_oldest(self) -> None:
        self._free.append(self._under_way.popleft())

    def _take(self, num_bytes: int) -> Tensor:
        fitting = [buffer for buffer in self._free if len(buffer) >= num_bytes]
        if fitting:
            self._free = [buffer for buffer in self._free if buffer is not fitting[0]]
        room = num_bytes + num_bytes // 4  # so that a slightly larger batch also fits next time
        buffer = fitting[0] if fitting else _shared((room,))
        self._under_way.append(buffer)
        return buffer


def _shared(shape: Sequence[int]) -> Tensor:
    """Allocates uint8 memory that other processes can map.

    The memory is shared from the start, so that it need not be copied.
    """
    storage = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(tuple(shape))


class _Parcel:
    """Views on their way back from a cutting process. Unpickling a parcel gives the ``_Cut``."""

    def __init__(self, cut: _Cut) -> None:
        self._cut = cut

    def __reduce__(self) -> tuple[Any, ...]:
        large, small = {}, {}
        for name, value in vars(self._cut.batch).items():
            if name.endswith("_views"):
                large[name] = value
            else:
                small[name] = None if value is None else value.numpy()
        return _unpacked, (large, small, self._cut.seconds)


def _unpacked(
    large: dict[str, Tensor], small: dict[str, NDArray[Any] | None], seconds: float
) -> _Cut:
    tensors = {
        name: None if value is None else torch.from_numpy(value) for name, value in small.items()
    }
    return _Cut(ViewBatch(**large, **tensors), seconds)  # type: ignore[arg-type]


class _Cuts(Dataset[Any]):
    """Dataset for ``DataLoader`` that cuts views.

    The index of an item is a batch of encoded images, and the item is the views of this batch.
    """

    def __init__(self, cutter: ViewCutter) -> None:
        self._cutter = cutter

    def __getitem__(self, errand: _Errand) -> "_Parcel | _Failure":
        try:
            return _Parcel(self.cut(errand.encoded, errand.epoch))
        except PoiseError as error:
            return _Failure(str(error))

    def cut(self, encoded: EncodedBatch, epoch: int) -> _Cut:
        began_s = time.perf_counter()
        return _Cut(self._cutter(encoded, epoch), time.perf_counter() - began_s)


def _as_it_is(batch: Any) -> Any:
    return batch
