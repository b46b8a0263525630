"""Computes the attention statistics of Beyond [cls] (arXiv 2412.03215) in one pass.

In: a backbone and images. Out: an ``AttentionReport`` with every statistic per block and per head,
and the norms of tokens per block. Next: ``poise evaluate attention`` passes the report to
``poise.evaluation.tokens.files`` and ``poise.evaluation.tokens.attention_pictures``.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.evaluation.reading.finite import not_finite
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench, evaluation_mode, normalized
from poise.evaluation.tokens.norms import TokenNorms
from poise.evaluation.tokens.running_mean import RunningMean
from poise.models.backbone import has_class_token
from poise.models.block_traces import BlockTrace, trace
from poise.models.pooling import EPSILON, patch_entropy

PROTOCOL: Final = "attention/beyond-cls-v1"

_READ_IMAGES = 64  # images that are decoded at once
_ATTENTION_BYTES = 2**26  # memory for one block's attention; more memory is not faster


@dataclass(frozen=True)
class Statistic:
    """Value of one statistic in one block, with its errors over images."""

    mean: float
    """Mean over images and heads, as published."""

    standard_error: float | None
    """Standard error of ``mean`` over images, after averaging over heads.

    It is None for a single image.
    """

    head_means: tuple[float, ...]
    """Mean over images for each head. It is empty for magnitudes, because they have no heads."""

    head_standard_errors: tuple[float | None, ...]


@dataclass(frozen=True)
class AttentionReport:
    """Attention statistics of a backbone, with the facts that a reader needs to interpret them."""

    protocol: str
    dataset: str
    num_images: int
    image_px: int
    num_patches: int
    """Number of patches N. An entropy is at most ln N."""

    num_registers: int
    num_heads: int
    has_class_token: bool
    blocks: tuple[Mapping[str, Statistic], ...]
    """Statistics of each block, from first to last, by the names of ``attention_statistics``."""

    norms: tuple[Mapping[str, float], ...]
    """Norms of tokens after each block, by the names of ``norm_statistics``."""

    num_norm_images: int
    """Number of images whose norms were measured. They are evenly spaced among all images."""


def report_attention(
    backbone: nn.Module,
    images: EvaluationImages,
    bench: Bench,
) -> AttentionReport:
    """Measures a backbone's attention, and raises an error if it is not finite.

    Arguments and other errors are those of ``measure_attention``.

    Raises:
        NotFiniteError: a statistic is NaN or infinite.
    """
    report = measure_attention(backbone, images, bench)
    means = [statistic.mean for block in report.blocks for statistic in block.values()]
    lengths = [length for block in report.norms for length in block.values()]
    if not all(map(math.isfinite, (*means, *lengths))):
        raise not_finite("attention and tokens", images.folder)
    return report


def measure_attention(
    backbone: nn.Module,
    images: EvaluationImages,
    bench: Bench,
) -> AttentionReport:
    """Measures a backbone's attention in one pass. Memory does not grow with the number of images.

    Args:
        backbone: ``VitBackbone`` on the device of the bench. Its modules get their train or eval
            mode back.
        images: images to pass through the backbone.
        bench: device and normalisation. Its batch size is not used, because the memory for
            attention decides it.

    Raises:
        UntraceableError: the backbone has no attention that can be measured.
        PoiseError: there are no images.
    """
    if len(images) == 0:
        raise PoiseError(f"{images.folder}: has no images, so there is no attention to measure")
    num_prefix = int(getattr(backbone, "num_prefix_tokens", 0))
    with_class = has_class_token(backbone)
    running = RunningStatistics(num_prefix, with_class)
    norms = TokenNorms(len(images), num_prefix, with_class)
    with evaluation_mode(backbone):
        for batch, _ in images.batches(_READ_IMAGES):
            for part in _parts(batch, running):
                prepared = normalized(part.to(bench.device), bench.normalization)
                for block in trace(backbone, prepared):
                    running.add(block)
                    norms.add(block)
                    del block  # frees this attention before the next block is computed
                bench.on_images(len(part))
    return AttentionReport(
        protocol=PROTOCOL,
        dataset=str(images.folder),
        num_images=len(images),
        image_px=images.image_px,
        num_patches=running.num_patches,
        num_registers=num_prefix - int(with_class),
        num_heads=running.num_heads,
        has_class_token=with_class,
        blocks=running.blocks(),
        norms=norms.blocks(),
        num_norm_images=norms.num_images,
    )


def attention_statistics(
    attention: Tensor, num_prefix_tokens: int, with_class_token: bool
) -> Iterator[tuple[str, Tensor]]:
    """Computes the statistics of one block's attention, per image and head.

    As published, ``cls`` is token 0 and ``pos`` is the mean over patches. An entropy uses only the
    attention to patches, renormalised, in nats. The ending ``_adj_for_cls`` means: divided by the
    token's attention to patches. Poise adds three statistics: a token's attention to all patches,
    its attention to the registers, and entropies divided by ln N.

    Registers are neither [cls] nor patches. They are left out of every mean over patches and of
    every entropy. The attention to registers is a separate statistic. For each token, the attention
    to [cls], registers and patches adds up to 1. The publication has no registers. Without
    registers all statistics agree with it. A backbone without [cls] has no statistics of [cls].

    Healthy values depend on the method. In joint-embedding models (DINO) the attention of [cls] is
    selective: in late blocks its entropy is well below ln N. In masked models (MAE) [cls] attends
    mostly to itself and almost equally to all patches, so entropy / ln N is near 1. Broken: in
    every block all tokens attend equally to all patches, so attention has no effect.

    Args:
        attention: attention after softmax, [B, heads, T, T].
        num_prefix_tokens: number of tokens before the patches. [cls] is the first of them.
        with_class_token: whether token 0 is [cls].

    Yields:
        Name and values [B, heads].
    """
    to_patches = attention[..., num_prefix_tokens:]
    mass = to_patches.sum(dim=-1)  # [B, heads, T]
    itself = attention.diagonal(dim1=-2, dim2=-1)
    relative = itself / (mass + EPSILON)
    for name, values in _by_token(attention, mass, num_prefix_tokens, with_class_token):
        if with_class_token:
            yield f"cls_{name}", values[:, :, 0]
        yield f"pos_{name}", values[:, :, num_prefix_tokens:].mean(dim=2)
    if with_class_token:
        yield "cls_pos_attention", to_patches[:, :, 0].mean(dim=2)
        yield "cls_cls_attention_adj_for_cls", relative[:, :, 0]
    yield "pos_self_attention", itself[:, :, num_prefix_tokens:].mean(dim=2)
    yield "pos_self_attention_adj_for_cls", relative[:, :, num_prefix_tokens:].mean(dim=2)


def magnitude_statistics(
    block: BlockTrace, num_prefix_tokens: int, with_class_token: bool
) -> Iterator[tuple[str, Tensor]]:
    """Computes how much attention adds to a token.

    The measure is the norm of the attention branch divided by the norm of its input. Near 0, the
    block hardly changes the token. Above 1, the block mostly replaces the token.

    Yields:
        ``cls_magnitude`` and ``pos_magnitude`` (mean of the ratio over patches), [B].
    """
    lengths = block.inputs.float().norm(dim=-1)
    ratio = block.branch.float().norm(dim=-1) / (lengths + EPSILON)  # [B, T]
    if with_class_token:
        yield "cls_magnitude", ratio[:, 0]
    yield "pos_magnitude", ratio[:, num_prefix_tokens:].mean(dim=1)


class RunningStatistics:
    """Running means of all statistics, per block and head, during a pass over images."""

    def __init__(self, num_prefix_tokens: int, with_class_token: bool) -> None:
        """Starts without images.

        Args:
            num_prefix_tokens: number of tokens before the patches. [cls] is the first of them.
            with_class_token: whether token 0 is [cls].
        """
        self.num_patches = 0
        self.num_heads = 0
        self.means: dict[tuple[int, str], RunningMean] = {}
        self._tokens = (num_prefix_tokens, with_class_token)

    @property
    def batch_size(self) -> int:
        """Number of images whose attention in one block fits into the memory limit.

        It is 1 before the first block, because the number of heads is not known yet.
        """
        bytes_per_image = 4 * self.num_heads * (self._tokens[0] + self.num_patches) ** 2
        return max(1, _ATTENTION_BYTES // bytes_per_image) if bytes_per_image else 1

    def add(self, block: BlockTrace) -> None:
        """Adds the statistics of one block for a batch."""
        _, self.num_heads, num_tokens, _ = block.attention.shape
        self.num_patches = num_tokens - self._tokens[0]
        for name, values in attention_statistics(block.attention, *self._tokens):
            # The first column is the image's mean over heads. Its error cannot be computed from
            # the columns of the heads, because the heads of an image are correlated.
            self._add(block.index, name, torch.cat([values.mean(1, keepdim=True), values], dim=1))
        for name, values in magnitude_statistics(block, *self._tokens):
            self._add(block.index, name, values.unsqueeze(1))

    def blocks(self) -> tuple[dict[str, Statistic], ...]:
        """Returns the statistics of the images so far, for each block."""
        found: dict[int, dict[str, Statistic]] = {}
        for (index, name), running in self.means.items():
            found.setdefault(index, {})[name] = _statistic(running)
        return tuple(found[index] for index in sorted(found))

    def _add(self, index: int, name: str, rows: Tensor) -> None:
        self.means.setdefault((index, name), RunningMean()).add(rows)


def _by_token(
    attention: Tensor, mass: Tensor, num_prefix_tokens: int, with_class_token: bool
) -> Iterator[tuple[str, Tensor]]:
    """Yields name and values [B, heads, T] of each statistic that is computed for every token."""
    if with_class_token:
        yield "cls_attention", attention[..., 0]
    registers = slice(int(with_class_token), num_prefix_tokens)
    if registers.start < registers.stop:
        yield "register_mass", attention[..., registers].sum(dim=-1)
    yield "pos_mass", mass
    to_patches = attention[..., num_prefix_tokens:]
    entropy = patch_entropy(to_patches)
    yield "pos_entropy", entropy
    if to_patches.shape[-1] > 1:
        yield "pos_entropy_over_ln_n", entropy / math.log(to_patches.shape[-1])


def _parts(images: Tensor, running: RunningStatistics) -> Iterator[Tensor]:
    """Splits images into batches of ``running.batch_size``.

    The first batch has one image. It shows how much memory an image needs.
    """
    while len(images):
        size = running.batch_size
        yield images[:size]
        images = images[size:]


def _statistic(running: RunningMean) -> Statistic:
    means = running.mean.tolist()
    errors = running.standard_error()
    spread = [None] * len(means) if errors is None else errors.tolist()
    return Statistic(means[0], spread[0], tuple(means[1:]), tuple(spread[1:]))
