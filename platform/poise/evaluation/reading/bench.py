"""A backbone at work on batches of images in this process.

In: a backbone and images. Out: its outputs in order. Next: ``poise.evaluation.reading.passes``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from poise.evaluation.reading.images import Batch, EvaluationImages, in_threads

Normalization = tuple[Sequence[float], Sequence[float]]
"""Channel mean and std of RGB values in [0, 1], those that training used."""


Outputs = Mapping[str, Tensor]
"""What a reader says of a batch, by name; each tensor's first axis is the images."""


_CPU_BATCH, _GPU_BATCH = 64, 256


def no_progress(images: int) -> None:
    """Tells nobody how many images are done."""


@dataclass(frozen=True)
class Bench:
    """Where and how images are read."""

    normalization: Normalization
    device: torch.device
    """Where to compute, and where the outputs are."""

    over_ray: bool = False
    """Spreads slices of the images over the Ray cluster's processes. Batches are the same, and so
    are the outputs on the same kind of device."""

    on_images: Callable[[int], None] = no_progress
    """Is told after each batch how many images it had."""

    batch_size: int | None = None
    """Images at once; none means what suits the device."""

    @property
    def images_at_once(self) -> int:
        """What was asked for, or what suits the device."""
        return self.batch_size or (_GPU_BATCH if self.device.type == "cuda" else _CPU_BATCH)


def pass_here(
    reader: nn.Module, images: EvaluationImages, bench: Bench
) -> Iterator[tuple[Outputs, Tensor]]:
    """``image_pass`` in this process, with as many threads as PyTorch may use here."""
    read = partial(_read, reader, bench)
    if bench.device.type != "cpu":
        yield from map(read, images.batches(bench.images_at_once))
        return
    pieces = (
        partial(_prepare_and_read, piece, read) for piece in images.pieces(bench.images_at_once)
    )
    with one_thread() as num_threads:
        yield from in_threads(pieces, num_threads, partial(torch.set_num_threads, 1))


def _prepare_and_read(
    piece: Callable[[], Batch], read: Callable[[Batch], tuple[Outputs, Tensor]]
) -> tuple[Outputs, Tensor]:
    return read(piece())


@torch.no_grad()
def _read(reader: nn.Module, bench: Bench, batch: Batch) -> tuple[Outputs, Tensor]:
    images, labels = batch
    # Figures are of float32, as published, whatever precision is in force around.
    with torch.autocast(bench.device.type, enabled=False):
        outputs: Outputs = reader(normalized(images.to(bench.device), bench.normalization))
    return outputs, labels


def normalized(images: Tensor, normalization: Normalization) -> Tensor:
    """uint8 images [b, 3, h, w] as normalised float32."""
    mean, std = (
        torch.as_tensor(values, dtype=torch.float32, device=images.device).view(3, 1, 1)
        for values in normalization
    )
    return (images.float() / 255 - mean) / std


@contextmanager
def one_thread() -> Iterator[int]:
    """PyTorch computes in one thread for a while; gives how many it may use otherwise."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Every submodule in evaluation mode, and back in its own mode afterwards."""
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes.items():
            child.training = mode
