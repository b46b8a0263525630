"""Cuts views beside training: in other processes, or in a thread of this one.

In: batches of encoded images with their epochs. Out: ``ViewBatch``es in the same order, cut ahead
of time. Next: the training loop.
"""

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from poise.config.errors import PoiseError
from poise.data.batch import ViewBatch
from poise.data.dataset import EncodedBatch
from poise.data.reader import Work
from poise.data.views import ViewCutter


def cut_ahead(
    cutter: ViewCutter, work: Iterable[Work], processes: int, ahead: int, pin_memory: bool
) -> Iterator[ViewBatch]:
    """Cuts batches in order, about ``ahead`` of them before they are asked for.

    Closing the iterator ends the processes. ``processes`` = 0 cuts in one thread of this process.

    Raises:
        PoiseError: an image cannot be decoded.
    """
    if processes == 0:
        yield from _in_a_thread(cutter, work, ahead, pin_memory)
    else:
        yield from _in_processes(cutter, work, processes, ahead, pin_memory)


def _in_a_thread(
    cutter: ViewCutter, work: Iterable[Work], ahead: int, pin_memory: bool
) -> Iterator[ViewBatch]:
    def cut(epoch: int, encoded: EncodedBatch) -> ViewBatch:
        batch = cutter(encoded, epoch)
        return batch.pin_memory() if pin_memory else batch

    waiting: deque[Future[ViewBatch]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="cut-views") as thread:
        try:
            for epoch, encoded in work:
                waiting.append(thread.submit(cut, epoch, encoded))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            thread.shutdown(wait=True, cancel_futures=True)


def _in_processes(
    cutter: ViewCutter, work: Iterable[Work], processes: int, ahead: int, pin_memory: bool
) -> Iterator[ViewBatch]:
    context = multiprocessing.get_context("forkserver")  # fork would copy Ray's and torch's threads
    context.set_forkserver_preload([__name__])  # torch is imported once, not once per process
    loader: DataLoader[ViewBatch | _Failure] = DataLoader(
        _Cuts(cutter),
        sampler=work,
        batch_size=None,
        num_workers=processes,
        prefetch_factor=-(-ahead // processes),
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        multiprocessing_context=context,
        generator=torch.Generator(),  # else starting it would advance the training's own generator
    )
    for cut in loader:
        if isinstance(cut, _Failure):
            raise PoiseError(cut.message)
        yield cut


@dataclass(frozen=True)
class _Failure:
    """An expected error on its way home: raised there, it would gain a traceback in its message."""

    message: str


class _Cuts(Dataset["ViewBatch | _Failure"]):
    """What a batch of encoded images is cut into, under the batch itself as its index."""

    def __init__(self, cutter: ViewCutter) -> None:
        self._cutter = cutter

    def __getitem__(self, index: Work) -> "ViewBatch | _Failure":
        epoch, encoded = index
        try:
            return self._cutter(encoded, epoch)
        except PoiseError as error:
            return _Failure(str(error))


def _as_it_is(batch: Any) -> Any:
    return batch
