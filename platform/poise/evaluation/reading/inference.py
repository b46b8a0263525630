"""Runs a backbone on batches of images in this process.

In: a module and images. Out: its outputs in order. Next: ``poise.evaluation.reading.dataset_pass``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from poise.evaluation.reading.image_sets import Batch, ImageSet
from poise.evaluation.reading.images import in_threads

Normalization = tuple[Sequence[float], Sequence[float]]
"""Channel means and standard deviations of RGB values in [0, 1], as in training."""


Outputs = Mapping[str, Tensor]
"""Maps each name of a module's outputs to the values for a batch. The first axis is the image."""

Answers = Iterator[tuple[Outputs, Tensor]]
"""Iterator over batches in the order of sample ids.

Each item contains the outputs of a batch and one value per image: labels int64 [b], or other values
that the set of images provides.
"""

_CPU_BATCH, _GPU_BATCH = 64, 256


def no_progress(images: int) -> None:
    """Does nothing with the number of finished images."""


@dataclass(frozen=True)
class Bench:
    """Settings for passing images through a module: device, normalisation and batch size."""

    normalization: Normalization
    device: torch.device
    """Device that computes the outputs and stores them."""

    spread: "Spread | None" = None
    """Function that passes the images through the module in other processes.

    An example is ``poise.evaluation.reading.distributed.pass_over_ray``. None computes in this
    process. Both ways use the same batches, and give the same outputs on the same kind of device.
    """

    on_images: Callable[[int], None] = no_progress
    """Function that is called after each batch with its number of images."""

    batch_size: int | None = None
    """Number of images in a batch. None takes the default of the device: 64 on a CPU, 256 on a GPU.
    """

    @property
    def images_at_once(self) -> int:
        """Number of images in a batch: ``batch_size``, or the default of the device."""
        return self.batch_size or (_GPU_BATCH if self.device.type == "cuda" else _CPU_BATCH)


Spread = Callable[[nn.Module, ImageSet, Bench], Answers]
"""Function that passes images through a module, in this process or in others."""


def pass_here(module: nn.Module, images: ImageSet, bench: Bench) -> Answers:
    """Passes images through a module in this process, with as many threads as PyTorch may use."""
    read = partial(_read, module, bench)
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
def _read(module: nn.Module, bench: Bench, batch: Batch) -> tuple[Outputs, Tensor]:
    images, labels = batch
    # The protocols need float32, as published. So the caller's autocast is switched off.
    with torch.autocast(bench.device.type, enabled=False):
        outputs: Outputs = module(normalized(images.to(bench.device), bench.normalization))
    return outputs, labels


def normalized(images: Tensor, normalization: Normalization) -> Tensor:
    """Converts uint8 images [b, 3, h, w] to float32 and normalises each channel."""
    mean, std = (
        torch.as_tensor(values, dtype=torch.float32, device=images.device).view(3, 1, 1)
        for values in normalization
    )
    return (images.float() / 255 - mean) / std


@contextmanager
def one_thread() -> Iterator[int]:
    """Makes PyTorch use one thread during the ``with`` block.

    Yields the previous number of threads.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Sets every submodule to evaluation mode during the ``with`` block, then restores its mode."""
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, mode in modes.items():
            child.training = mode
