"""Finds neurons that write the large norms of outlier patches.

In: a vision transformer and images. Out: the register neurons of the transformer, if it has any.
Next: ``poise.models.test_time_registers``, which moves their output to an added register.

Source: arXiv 2506.08010, section 3. There, neurons are ranked by their mean absolute activation at
outliers, in all blocks up to the block in which outliers appear. Poise adds two rules. First, the
mean at other patches is subtracted. The difference is multiplied by the norm of the vector that the
neuron writes. So a neuron that is large everywhere or writes nothing has a low rank. Second, only
neurons with at least a tenth of the highest score count. So their number need not be known in
advance.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.evaluation.outliers.threshold import Threshold, outlier_mask, threshold_of
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench, evaluation_mode, normalized
from poise.models.backbone import VitBackbone
from poise.models.test_time_registers import Neuron, output_layer

MOST_NEURONS: Final = 50
"""Largest number of register neurons, as published for DINOv2 ViT-L/14."""

_LEAST_SHARE = 0.1  # smallest score, as a share of the highest score
_AT_ONCE = 16  # images in memory at once


@dataclass(frozen=True)
class RegisterNeuron:
    """One neuron that has large activations at outliers."""

    block: int
    """Index of the block, from 0."""

    neuron: int
    """Index among the hidden units of the block's MLP, from 0."""

    at_outliers: float
    """Mean absolute activation at outlier patches."""

    elsewhere: float
    """Mean absolute activation at other patches."""

    written: float
    """Norm of what the neuron adds to an outlier beyond what it adds to other patches."""


@dataclass(frozen=True)
class RegisterNeurons:
    """Register neurons that were found with a sample of images."""

    found: tuple[RegisterNeuron, ...]
    """Neurons, the strongest first. The tuple is empty if there are no outliers."""

    threshold: Threshold
    """Limit of the norms after the last block, above which a patch is an outlier."""

    num_images: int
    num_outliers: int
    num_patches: int
    first_block: int | None
    """Index of the block after which outliers are clearly separate, or None without outliers."""

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """Block and index of each neuron, for ``with_test_time_registers``."""
        return tuple((each.block, each.neuron) for each in self.found)


def find_register_neurons(
    backbone: nn.Module, images: EvaluationImages, bench: Bench, most: int = MOST_NEURONS
) -> RegisterNeurons:
    """Finds the register neurons of a backbone. 500 images are enough in the publication.

    The backbone reads the images twice, in this process: once for norms, once for activations.
    Memory grows by one number per patch.

    Args:
        backbone: vision transformer on the device of the bench, without an added register.
        images: images to read.
        bench: normalisation and device.
        most: largest number of neurons to return.

    Raises:
        PoiseError: the backbone is not a ``VitBackbone``.
    """
    if not isinstance(backbone, VitBackbone):
        raise PoiseError(
            f"{type(backbone).__name__}: register neurons are searched in vision transformers "
            "whose positions are added to their patches"
        )
    with evaluation_mode(backbone), torch.no_grad():
        batches = (_norms_by_block(backbone, batch)[-1] for batch in _batches(images, bench))
        norms = torch.cat([batch.cpu() for batch in batches])  # [n, N]
        threshold = threshold_of(norms)
        marked = outlier_mask(norms, threshold)
        sums = _Sums(backbone, most)
        if marked.any():
            done = 0
            for batch in _batches(images, bench):
                sums.add(batch, marked[done : done + len(batch)].to(bench.device))
                done += len(batch)
    first = sums.first_block()
    found = sums.ranked(first) if first is not None else ()
    return RegisterNeurons(found, threshold, len(norms), int(marked.sum()), marked.numel(), first)


def _batches(images: EvaluationImages, bench: Bench) -> Iterator[Tensor]:
    for batch, _ in images.batches(_AT_ONCE):
        for part in batch.split(_AT_ONCE):
            yield normalized(part.to(bench.device), bench.normalization)


def _norms_by_block(backbone: VitBackbone, images: Tensor) -> list[Tensor]:
    """Computes the norms [b, N] of patches after each block."""
    start = backbone.num_prefix_tokens
    return [
        torch.linalg.vector_norm(tokens[:, start:].float(), dim=-1)
        for tokens in backbone.each_block(images)
    ]


class _Sums:
    """Sums of activations and of norms at outliers and at other patches, by block."""

    def __init__(self, backbone: VitBackbone, most: int) -> None:
        self._backbone, self._most = backbone, most
        self._depth = len(backbone.timm_model.blocks)
        self._activations: dict[tuple[int, bool], Tensor] = {}  # [hidden]
        self._norms: dict[tuple[int, bool], float] = {}
        self._counts = {True: 0, False: 0}

    def add(self, images: Tensor, marked: Tensor) -> None:
        """Adds a batch of images whose outliers are marked, bool [b, N]."""
        hooks = [self._watch(block, marked) for block in range(self._depth)]
        try:
            norms = _norms_by_block(self._backbone, images)
        finally:
            for hook in hooks:
                hook.remove()
        for side in (True, False):
            self._counts[side] += int((marked == side).sum())
            for block, of_block in enumerate(norms):
                known = self._norms.get((block, side), 0.0)
                self._norms[block, side] = known + float(of_block[marked == side].sum())

    def _watch(self, block: int, marked: Tensor) -> Any:
        start = self._backbone.num_prefix_tokens

        def note(layer: nn.Module, inputs: tuple[Tensor]) -> None:
            activations = inputs[0][:, start:].abs()
            for side in (True, False):
                total = activations[marked == side].double().sum(dim=0).cpu()
                self._activations[block, side] = self._activations.get((block, side), 0) + total

        return output_layer(self._backbone, block).register_forward_pre_hook(note)

    def first_block(self) -> int | None:
        """Returns the first block after which outliers are clearly separate.

        After this block, the logarithm of the ratio of mean norms (outliers to other patches)
        reaches half of its value after the last block.
        """
        if not self._counts[True]:
            return None
        logs = [self._log_ratio(block) for block in range(self._depth)]
        return next(block for block, log in enumerate(logs) if log >= logs[-1] / 2)

    def _log_ratio(self, block: int) -> float:
        outlier, other = (
            self._norms[block, side] / max(1, self._counts[side]) for side in (True, False)
        )
        return math.log(outlier / other)

    def ranked(self, last_block: int) -> tuple[RegisterNeuron, ...]:
        """Returns the register neurons of the blocks up to ``last_block``, the strongest first."""
        every = [each for block in range(last_block + 1) for each in self._of_block(block)]
        every.sort(key=lambda each: -each.written)
        limit = _LEAST_SHARE * every[0].written
        return tuple(each for each in every[: self._most] if each.written >= limit)

    def _of_block(self, block: int) -> Iterator[RegisterNeuron]:
        means = [
            self._activations[block, side] / max(1, self._counts[side]) for side in (True, False)
        ]
        lengths = written_lengths(self._backbone, block).double().cpu()
        written = (means[0] - means[1]) * lengths
        for neuron in written.topk(min(self._most, len(written))).indices.tolist():
            at, elsewhere = (float(mean[neuron]) for mean in means)
            yield RegisterNeuron(block, neuron, at, elsewhere, float(written[neuron]))


def written_lengths(backbone: VitBackbone, block: int) -> Tensor:
    """Computes the norm of the vector that each neuron adds at activation 1: [hidden]."""
    weight = output_layer(backbone, block).weight.detach()
    scale = getattr(getattr(backbone.timm_model.blocks[block], "ls2", None), "gamma", None)
    if isinstance(scale, Tensor):
        weight = weight * scale.detach()[:, None]
    lengths: Tensor = torch.linalg.vector_norm(weight.float(), dim=0)
    return lengths
