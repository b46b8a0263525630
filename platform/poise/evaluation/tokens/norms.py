"""Norms of tokens after each block, which show in which block patches become outliers.

In: blocks of a backbone at work on images. Out: numbers by block, of
``poise.diagnostics.patches``, which training logs of the last block alone. Next:
``poise.evaluation.tokens.attention`` reports them.
"""

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor

from poise.diagnostics.patches import mean_norm, norm_bimodality, norm_quantiles, outlier_share
from poise.models.block_traces import BlockTrace

NORM_IMAGES = 512
"""Most images of a pass whose norms are kept, because a quantile needs all of them at once."""


def norm_statistics(
    norms: Tensor, num_prefix_tokens: int, with_class_token: bool
) -> Iterator[tuple[str, Tensor]]:
    """Summarises the norms of one block's tokens.

    ``pos_norm_q50``, ``_q90``, ``_q99`` and ``_max`` are quantiles over the patches of all images
    together, ``pos_norm_bimodality`` and ``pos_outlier_share`` are of the same; ``cls_norm`` and
    ``register_norm_1`` … are means over images. Statistics of tokens that a backbone lacks are left
    out.

    Source: registers (arXiv 2309.16588, section 2.1), whose outliers part from the rest around
    block 15 of 40. Cost: a sort of B·N numbers.

    Healthy: in every block the largest patch within a few times the median and no outliers; lengths
    grow slowly from block to block, as a residual stream's do. Broken: from some block in the
    middle on the 99th percentile or the maximum is about ten times the median and 1 % or more are
    outliers: patches that hold nothing of their place; add registers (``backbone.num_registers``).
    Registers in use are longer than the median patch from there on, and outliers are gone.

    Args:
        norms: norms of the residual stream, before any norm layer, [B, T].
        num_prefix_tokens: tokens before the patches, [cls] first.
        with_class_token: token 0 is [cls].

    Yields:
        Name and value, 0-dimensional.
    """
    patches = norms[:, num_prefix_tokens:]
    for name, value in norm_quantiles(patches).items():
        yield f"pos_norm_{name}", value
    yield "pos_norm_bimodality", norm_bimodality(patches)
    yield "pos_outlier_share", outlier_share(patches)
    if with_class_token:
        yield "cls_norm", mean_norm(norms[:, 0])
    registers = norms[:, int(with_class_token) : num_prefix_tokens]
    for number, of_register in enumerate(registers.unbind(dim=1), start=1):
        yield f"register_norm_{number}", mean_norm(of_register)


class TokenNorms:
    """Norms of some images' tokens after each block, collected during a pass over images.

    512 images of 197 tokens take 5 MB for 12 blocks.
    """

    def __init__(self, num_images: int, num_prefix_tokens: int, with_class_token: bool) -> None:
        """Starts without images.

        Args:
            num_images: number of images in the pass.
            num_prefix_tokens: tokens before the patches, [cls] first.
            with_class_token: token 0 is [cls].
        """
        self.every = -(-num_images // NORM_IMAGES)
        self._tokens = (num_prefix_tokens, with_class_token)
        self._norms: defaultdict[int, list[Tensor]] = defaultdict(list)  # [n, T] each, by block
        self._seen: defaultdict[int, int] = defaultdict(int)  # images, by block

    @property
    def num_images(self) -> int:
        """Number of images so far."""
        return sum(len(norms) for norms in self._norms[0])

    def add(self, block: BlockTrace) -> None:
        """Adds the norms of a batch's tokens after one block."""
        chosen = block.outputs[-self._seen[block.index] % self.every :: self.every]
        self._seen[block.index] += len(block.outputs)
        self._norms[block.index].append(torch.linalg.vector_norm(chosen.float(), dim=-1).cpu())

    def blocks(self) -> tuple[dict[str, float], ...]:
        """Summaries so far, by block."""
        return tuple(
            {
                name: value.item()
                for name, value in norm_statistics(torch.cat(self._norms[index]), *self._tokens)
            }
            for index in sorted(self._norms)
        )
