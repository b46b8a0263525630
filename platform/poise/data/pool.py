"""Cuts views for training: in other processes ahead of it, or in this one in turn with it.

In: batches of encoded images with their epochs. Out: ``ViewBatch``es in the same order. Next: the
training loop.
"""

import multiprocessing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from poise.config.errors import PoiseError
from poise.data.batch import ViewBatch
from poise.data.reader import Work
from poise.data.views import ViewCutter


def cut_ahead(
    cutter: ViewCutter, work: Iterable[Work], processes: int, ahead: int, pin_memory: bool
) -> Iterator[ViewBatch]:
    """Cuts batches in order, about ``ahead`` of them before they are asked for.

    Closing the iterator ends the processes. ``processes`` = 0 cuts when asked: a thread beside
    training would have to share its core, and the two were slower together than in turn.

    Raises:
        PoiseError: an image cannot be decoded.
    """
    if processes == 0:
        batches = (cutter(encoded, epoch) for epoch, encoded in work)
        yield from (batch.pin_memory() for batch in batches) if pin_memory else batches
    else:
        yield from _in_processes(cutter, work, processes, ahead, pin_memory)


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
