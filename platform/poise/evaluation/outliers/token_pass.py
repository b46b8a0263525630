"""Counts the norms of all images and keeps the tokens of some images, in one pass.

In: an ``EvaluationTask``. Out: a ``Reading``. Next: ``poise.evaluation.outliers.measure``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from poise.config.errors import PoiseError
from poise.evaluation.outliers.counts import NormCounts
from poise.evaluation.outliers.sample import (
    TokenSample,
    gather,
    sampled_positions,
    tokens_per_image,
)
from poise.evaluation.outliers.token_modules import NormReader, TokenReader
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.report import EvaluationTask
from poise.evaluation.tokens.running_mean import RunningMean
from poise.models.backbone import has_class_token

Batches = Iterator[tuple[Mapping[str, Tensor], Tensor]]


@dataclass
class Norms:
    """Norms of the tokens of all images that were read so far."""

    num_prefix: int
    """Number of tokens before the patches: [cls] and registers."""

    counts: NormCounts = field(default_factory=NormCounts)
    """Histograms of the norms of patches."""

    prefix: RunningMean = field(default_factory=RunningMean)
    """Mean norms of [cls] and registers after each block, [blocks, P]."""

    def add(self, norms: Tensor) -> None:
        """Adds the norms of all tokens after each block, [B, blocks, T]."""
        self.counts.add(norms[..., self.num_prefix :].numpy())
        self.prefix.add(norms[..., : self.num_prefix])


@dataclass(frozen=True)
class Reading:
    """Results of one pass over a dataset: norms of all images, and tokens of some images."""

    norms: Norms
    """Norms of the tokens of all images."""

    sample: TokenSample
    """Tokens of some images, with their positions and pixels."""

    grid: tuple[int, int]
    """Numbers of rows and columns of patches."""


def read_tokens(task: EvaluationTask) -> Reading:
    """Passes every image through the backbone once.

    Raises:
        PoiseError: there are no images.
    """
    images = EvaluationImages.for_one_pass(task.dataset, task.image_px, task.max_images)
    if len(images) == 0:
        raise PoiseError(f"{images.folder}: has no images, so there are no tokens to measure")
    backbone: Any = task.backbone
    side = task.image_px // backbone.patch_px
    chosen = sampled_positions(len(images))
    token_bytes = 4 * backbone.feature_dim + 2 * 3 * backbone.patch_px**2
    reader = TokenReader(backbone, tokens_per_image(len(chosen), side**2, token_bytes))
    norms = Norms(backbone.num_prefix_tokens)
    kept = images.only(chosen)
    outputs, labels = gather(_counted(image_pass(reader, kept, task.bench), norms))
    rest = np.setdiff1d(np.arange(len(images)), chosen)
    if len(rest):
        for found, _ in image_pass(NormReader(backbone), images.only(rest), task.bench):
            norms.add(found["norms"].cpu())
    registers = norms.num_prefix - int(has_class_token(backbone))
    sample = TokenSample(outputs, labels, kept.sample_ids, norms.num_prefix, registers)
    return Reading(norms, sample, (side, side))


def _counted(batches: Batches, norms: Norms) -> Batches:
    """Adds the norms of each batch to the counts, and yields the batch.

    Of the norms, only those after the last block are yielded.
    """
    for outputs, labels in batches:
        of_all = outputs["norms"].cpu()
        norms.add(of_all)
        # Cloned, because a slice would keep the norms of all blocks in memory.
        yield {**outputs, "norms": of_all[:, -1].clone()}, labels
