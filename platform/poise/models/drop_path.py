"""Stochastic depth, in which the dropped branches of an image do not depend on other images.

In: a backbone, and a ``PathAddress`` (seed, epoch and image ids). Out: layers that drop the same
branches for the same image, in every batch, micro-batch and worker. Next: ``poise.objectives.dino``
and ``poise.objectives.mae``.

timm's own layer takes random numbers from torch's global generator. So its dropped branches depend
on the batch.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from poise.data.draws_on_device import uniforms_on_device

_FIRST_ADDRESS = -1000  # address of view 0; below it, one address for each further view


class DropPath(nn.Module):
    """Drops a residual branch for some images, and scales it for the others (arXiv 1603.09382).

    Attributes:
        drop_prob: probability that an image skips the branch, from 0 to below 1.
        draws: random numbers [B] from 0 to 1, one for each image of this pass. None draws from
            torch's generator.
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob
        self.draws: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Sets the branch [B, …] to 0 for dropped images; divides others by 1 − ``drop_prob``."""
        if not self.training or not self.drop_prob:
            return x
        draws = torch.rand(len(x), device=x.device) if self.draws is None else self.draws
        kept = (draws >= self.drop_prob).to(x.dtype) / (1 - self.drop_prob)
        return x * kept.view(-1, *[1] * (x.ndim - 1))


def replace_drop_paths(model: nn.Module) -> None:
    """Replaces every ``DropPath`` of timm in a model by the layer of this module."""
    from timm.layers import DropPath as TimmDropPath

    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, TimmDropPath):
                setattr(parent, name, DropPath(child.drop_prob or 0.0))


@dataclass(frozen=True)
class PathAddress:
    """Seed, epoch and image ids of a batch. Together they decide which branches are dropped."""

    seed: int
    """Seed of the run."""

    epoch: int
    sample_ids: Tensor  # int64 [B], row numbers in the dataset

    def draws(self, views: range, num_layers: int) -> Tensor:
        """Computes a random number from 0 to 1 for each view of each image and each layer.

        Args:
            views: numbers of the V views.
            num_layers: number of layers.

        Returns:
            float64 [V·B, layers] for B images. The rows are ordered by view, then by image.
        """
        numbers = torch.arange(views.start, views.stop, device=self.sample_ids.device)
        return uniforms_on_device(
            self.seed,
            self.epoch,
            self.sample_ids.repeat(len(views)),
            _FIRST_ADDRESS - numbers.repeat_interleave(len(self.sample_ids)),
            num_layers,
        )


@contextmanager
def drawn_paths(
    backbone: nn.Module, address: PathAddress | None, views: range = range(1)
) -> Iterator[None]:
    """Sets which branches are dropped inside the ``with`` block, for these views.

    Without an address, torch's generator chooses the branches.
    """
    layers = drop_paths(backbone)
    if address is None or not layers:
        yield
        return
    with given_draws(layers, address.draws(views, len(layers)).unbind(1)):
        yield


@contextmanager
def given_draws(layers: Sequence[DropPath], draws: Iterable[Tensor | None]) -> Iterator[None]:
    """Sets which branches the layers drop inside the ``with`` block.

    After the block, the layers have their old setting again.
    """
    before = [layer.draws for layer in layers]
    for layer, own in zip(layers, draws, strict=True):
        layer.draws = own
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.draws = own


def drop_paths(module: nn.Module) -> list[DropPath]:
    """Lists the ``DropPath`` layers of a module, in the order of its submodules."""
    return [layer for layer in module.modules() if isinstance(layer, DropPath)]
